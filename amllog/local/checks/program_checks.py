"""The checks of the programs of steps: their scripts exist, and their executables are on PATH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amllog.local.checks.code_folder import CodeFolder
from amllog.local.checks.finding_places import text_line
from amllog.local.checks.script_imports import has_function
from amllog.local.checks.shell_words import SimpleCommand, UnbalancedQuote
from amllog.local.checks.step_programs import (
    Executable,
    ProgramFile,
    PythonProgram,
    commands_of,
    hidden_by_pipe,
    programs_of,
)
from amllog.local.plan.planned_steps import Finding, PlannedStep, Severity, SourceLine, StepKind

# Programs that are part of the shell, or that the folder of shims provides.
_BUILTINS = {
    ".", ":", "[", "[[", "alias", "bg", "bind", "break", "builtin", "cd", "command", "continue", "declare",
    "dirs", "disown", "echo", "enable", "exec", "exit", "export", "false", "fc", "fg", "getopts", "hash",
    "help", "history", "jobs", "kill", "let", "local", "logout", "mapfile", "popd", "printf", "pushd", "pwd",
    "read", "readarray", "readonly", "return", "set", "shift", "shopt", "source", "suspend", "test", "times",
    "trap", "true", "type", "typeset", "ulimit", "umask", "unalias", "unset", "wait",
}  # fmt: skip


@dataclass(frozen=True)
class ScriptUse:
    """A script or a module that the interpreter of a step runs.

    `folders` are those in which Python looks for modules of the step's code. Either `script` is a file, or `module` is
    no module of the code.
    """

    step: PlannedStep
    line: SourceLine
    script: Path | None = None
    module: str = ""
    folders: tuple[Path, ...] = ()
    is_certain: bool = True


class ProgramCheck:
    """The check of one step. `findings` are about its programs, `scripts` are those that the interpreter can check."""

    def __init__(self, step: PlannedStep) -> None:
        self.findings: list[Finding] = []
        self.scripts: list[ScriptUse] = []
        self._step = step
        self._code = CodeFolder(step.code, step.code_includes)
        if step.code is not None and not os.path.exists(step.code):  # the check of the code reports it
            return
        if step.kind is StepKind.PARALLEL and step.parallel:
            self._check_parallel(step.parallel.entry_script)
        elif step.kind is StepKind.SPARK and step.spark:
            self._check_files("entry", [step.spark.entry])
            self._check_files("py_files", step.spark.py_files)
            self._check_files("jars", step.spark.jars)
            self._check_files("files", step.spark.files)
        elif step.kind in {StepKind.COMMAND, StepKind.SWEEP}:
            self._check_command()

    def _report(self, position: SourceLine, message: str, *, is_certain: bool = True) -> None:
        severity = Severity.ERROR if is_certain else Severity.WARNING
        self.findings.append(Finding(position, message, severity))

    def _check_command(self) -> None:
        try:
            commands = commands_of(self._step)
        except UnbalancedQuote as error:
            line = text_line(self._step, "command", f"{error}{error.word}")
            self._report(line, f"command: the quote {error} does not end")
            return
        self._check_pipe(commands)
        for program in programs_of(commands):
            if isinstance(program, Executable):
                self._check_executable(program)
            elif isinstance(program, ProgramFile):
                self._check_file(program)
            elif program.script:
                self._check_script(program)
            else:
                self._check_module(program)

    def _check_pipe(self, commands: list[SimpleCommand]) -> None:
        hidden = hidden_by_pipe(commands)
        if hidden is None or "PIPESTATUS" in self._step.command:
            return
        message = (
            f"command: a failure of {hidden.program} is lost, because the exit code is that of the last command of "
            "the pipe: begin the command with `set -o pipefail;`"
        )
        self._report(text_line(self._step, "command", hidden.words[-1].text), message, is_certain=False)

    def _check_executable(self, program: Executable) -> None:
        step = self._step
        if program.name in _BUILTINS or shutil.which(program.name) or step.interpreter is None:
            return
        # The programs of the interpreter's environment are on the PATH of the step, and so is its own name.
        if program.name == step.interpreter.name or os.path.exists(step.interpreter.parent / program.name):
            return
        message = (
            f"command: {program.name} is not on PATH: install it, or use --skip {step.name}, or "
            f"--stub {step.name}=FOLDER with its outputs"
        )
        self._report(text_line(step, "command", program.name), message, is_certain=program.is_certain)

    def _check_file(self, program: ProgramFile) -> None:
        name = os.path.join(program.folder, program.name)
        path = self._code.file(name)
        line = text_line(self._step, "command", program.name)
        if path is None:
            self._report(line, self._missing("file", name), is_certain=program.is_certain)
        elif program.is_executed and not os.access(path, os.X_OK):
            message = f"command: {path} is not executable: chmod +x {path}"
            self._report(line, message, is_certain=program.is_certain)

    def _check_script(self, program: PythonProgram) -> None:
        name = os.path.join(program.folder, program.script)
        path = self._code.file(name)
        line = text_line(self._step, "command", program.script)
        if path is None:
            self._report(line, self._missing("script", name), is_certain=program.is_certain)
        elif path.is_file() and path.suffix != ".zip":
            self._add_script(program, path, line)

    def _add_script(self, program: PythonProgram, path: Path, line: SourceLine) -> None:
        # A single file is alone in the working directory.
        alone = self._code.path == path
        folders = (*(() if alone else (path.parent,)), *self._python_path())
        certain = program.is_certain and program.is_search_path_known
        if program.are_packages_known:
            self.scripts.append(ScriptUse(self._step, line, path, folders=folders, is_certain=certain))

    def _check_module(self, program: PythonProgram) -> None:
        line = text_line(self._step, "command", program.module)
        parts = program.module.split(".")
        certain = program.is_certain and program.is_search_path_known
        for folder in (program.folder, *self._step_python_path()):
            base = os.path.join(folder, *parts)
            for name in (f"{base}.py", os.path.join(base, "__main__.py")):
                path = self._code.file(name)
                if path is not None:
                    root = self._code.file(folder or ".")
                    folders = (*([root] if root else ()), *self._python_path())
                    if program.are_packages_known:
                        self.scripts.append(ScriptUse(self._step, line, path, "", folders, certain))
                    return
            head = os.path.join(folder, parts[0])
            if self._code.file(head) or self._code.file(f"{head}.py"):
                message = self._missing("module", program.module)
                self._report(line, message, is_certain=certain)
                return
        if program.are_packages_known:
            self.scripts.append(ScriptUse(self._step, line, module=program.module, is_certain=certain))

    def _step_python_path(self) -> Sequence[str]:
        """Return the entries of the PYTHONPATH of the step, as names in the working directory."""
        return [
            part for part in self._step.environment_variables.get("PYTHONPATH", "").split(os.pathsep) if part
        ]

    def _python_path(self) -> Iterator[Path]:
        for part in self._step_python_path():
            path = self._code.file(part)
            if path is not None:
                yield path

    def _check_parallel(self, entry_script: str) -> None:
        line = text_line(self._step, "entry_script", os.path.basename(entry_script))
        path = self._code.file(entry_script)
        if path is None:
            self._report(line, self._missing("entry_script", entry_script))
            return
        if not has_function(path, "run"):
            self._report(line, f"entry_script: {path} has no function run(mini_batch)")
        self.scripts.append(ScriptUse(self._step, line, path, folders=(path.parent,)))

    def _check_files(self, key: str, names: Sequence[str]) -> None:
        for name in names:
            if "://" not in name and "${{" not in name and self._code.file(name) is None:
                self._report(text_line(self._step, key, os.path.basename(name)), self._missing(key, name))

    def _missing(self, kind: str, name: str) -> str:
        if self._code.is_excluded(name):
            return f"{kind} {name} is excluded by {self._code.ignore_file} of {self._code}"
        similar = self._code.similar(name)
        hint = f". Did you mean {similar}?" if similar else ""
        return f"{kind} {name} does not exist in {self._code}{hint}"
