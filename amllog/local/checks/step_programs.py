"""The programs that the command of a step starts: Python scripts and modules, and executables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from amllog.errors import UsageError
from amllog.local.checks.shell_words import UNKNOWN, SimpleCommand, Word, simple_commands
from amllog.local.execution.command_text import CommandValues, replace_expressions
from amllog.local.plan.planned_steps import LiteralValue, LocalData, PlannedStep, literals_of

_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_RUNNERS = {"bash", "sh", "zsh", "Rscript", "perl", "node", "julia"}  # their first argument is a file
_OPTIONS_WITH_VALUE = {"-W", "-X", "--check-hash-based-pycs"}
_TRIAL_VALUE = re.compile(r"\$\{\{\s*search_space\.[^}]*\}\}")
# Programs that create no script and install no package. After any other, both are unknown.
_HARMLESS = {
    "[", "cat", "cd", "chmod", "date", "df", "du", "echo", "env", "exit", "export", "false", "free", "grep", "head",
    "hostname", "id", "ls", "mkdir", "nvidia-smi", "printenv", "printf", "ps", "pwd", "rm", "set", "sleep", "tail",
    "test", "touch", "trap", "tree", "true", "ulimit", "umask", "uname", "unset", "wc", "which", "whoami",
}  # fmt: skip


class PythonProgram(NamedTuple):
    """A script or a module that Python runs.

    `folder` is the current directory, relative to the working directory. A fault surely ends the step if it
    `is_certain`. The packages are known if no earlier command may install some. The search path is known if the command
    does not set PYTHONPATH.
    """

    script: str = ""
    module: str = ""
    folder: str = ""
    is_certain: bool = True
    are_packages_known: bool = True
    is_search_path_known: bool = True


class Executable(NamedTuple):
    """A program that is looked up on PATH."""

    name: str
    is_certain: bool = True


class ProgramFile(NamedTuple):
    """A file that a command runs by its path (`./run.sh`), or by another program (`bash run.sh`)."""

    name: str
    folder: str = ""
    is_certain: bool = True
    is_executed: bool = False


def command_of(step: PlannedStep) -> str | None:
    """Return the command with the values that are known, and UNKNOWN for the others. None: it cannot be read."""
    texts: dict[str, str] = {}
    for name, value in step.inputs.items():
        if isinstance(value, LiteralValue):
            texts[name] = str(value.value)
        else:
            texts[name] = os.fspath(value.path) if isinstance(value, LocalData) else UNKNOWN
    values = CommandValues(texts, dict.fromkeys(step.outputs, UNKNOWN), literals_of(step))
    try:
        return replace_expressions(_TRIAL_VALUE.sub(UNKNOWN, step.command), values, is_shell=True)
    except UsageError:
        return None  # the definition reports it


def commands_of(step: PlannedStep) -> list[SimpleCommand]:
    """Return the simple commands of a step. Raise UnbalancedQuote if the shell would reject its command."""
    if step.arguments is not None:
        return [SimpleCommand(tuple(Word(text, "$" not in text) for text in step.arguments))] * bool(
            step.arguments
        )
    command = command_of(step)
    return simple_commands(command) if command else []


def programs_of(commands: list[SimpleCommand]) -> Iterator[PythonProgram | Executable | ProgramFile]:
    """Yield the programs in the order in which they start, up to a change of directory that is not known."""
    folder = ""
    are_files_known = are_packages_known = is_search_path_known = True
    for command in commands:
        words, program = command.words, command.program
        if program == "cd":
            if len(words) != 2 or not words[1].is_literal:
                return
            folder = os.path.join(folder, words[1].text)
        elif _PYTHON.fullmatch(program):
            if "." in program:
                yield Executable(program, command.is_certain)
            python = _python_program(words[1:])
            if python and are_files_known:
                is_known = are_packages_known and "." not in program
                yield python._replace(
                    folder=folder,
                    is_certain=command.is_certain,
                    are_packages_known=is_known,
                    is_search_path_known=is_search_path_known and not command.moves_modules,
                )
            if python and python.module in {"pip", "uv", "ensurepip"}:
                are_packages_known = False
        else:
            yield from _other_programs(command, folder, are_files_known=are_files_known)
            are_packages_known = are_packages_known and program in _HARMLESS
            is_search_path_known = is_search_path_known and not command.moves_modules
            are_files_known = are_files_known and (program in _HARMLESS or program.startswith("pip"))
        are_files_known = are_files_known and not command.writes


def _other_programs(
    command: SimpleCommand, folder: str, *, are_files_known: bool
) -> Iterator[Executable | ProgramFile]:
    """Yield the program of a command, and the file that it runs."""
    program, is_certain = command.program, command.is_certain
    if program and "/" not in program:
        yield Executable(program, is_certain)
        first = command.words[1] if len(command.words) > 1 else Word("-")
        if program in _RUNNERS and first.is_literal and first.text[:1] != "-" and are_files_known:
            yield ProgramFile(first.text, folder, is_certain)
    elif program and are_files_known:
        yield ProgramFile(program, folder, is_certain, is_executed=True)


def _python_program(words: tuple[Word, ...]) -> PythonProgram | None:
    """Return the script or the module of Python's arguments, or None if it is neither or not known."""
    rest = iter(words)
    for word in rest:
        if not word.is_literal:
            return None
        if word.text in _OPTIONS_WITH_VALUE:
            next(rest, None)
        elif word.text == "-m":
            module = next(rest, None)
            return PythonProgram(module=module.text) if module and module.is_literal else None
        elif word.text.startswith("-m") and len(word.text) > 2:
            return PythonProgram(module=word.text[2:])
        elif word.text.startswith("-c") or word.text == "-":
            return None
        elif not word.text.startswith("-"):
            return PythonProgram(script=word.text)
    return None


def hidden_by_pipe(commands: list[SimpleCommand]) -> SimpleCommand | None:
    """Return the first command whose failure is lost, because the last one of its pipe decides, or None.

    Only programs of the step's code count. The failure of a pipe before `;` is lost anyway.
    """
    has_pipefail = ends_at_failure = False
    for index, command in enumerate(commands):
        texts = [word.text for word in command.words]
        if command.program == "set":
            has_pipefail = has_pipefail or "pipefail" in texts
            ends_at_failure = ends_at_failure or any(re.match(r"-[a-z]*e", text) for text in texts)
        if not command.is_piped or not command.is_certain or has_pipefail or not _runs_code(command):
            continue
        last = next((other for other in commands[index:] if not other.is_piped), commands[-1])
        counts = last.operator == "&&" or last is commands[-1] or ends_at_failure
        if counts and last.is_certain and not last.is_piped:
            return command
    return None


def _runs_code(command: SimpleCommand) -> bool:
    """Return whether a command runs code of the step: Python, another interpreter, or a file."""
    program = command.program
    if _PYTHON.fullmatch(program):
        return any(word.text not in {"-V", "-VV", "--version"} for word in command.words[1:])
    return program in _RUNNERS or "/" in program
