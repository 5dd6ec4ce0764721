"""The options of `amllog run` for pipeline files, jobs and components.

They may stand before or after the file. Everything after a script belongs to the script.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from amllog.cli.argument_values import seconds

_FILES = (".yml", ".yaml", ".json")  # JSON is YAML, and the service accepts it
_SCRIPTS = (".py", ".pyw", ".pyz", ".zip")
_DEBUG = "start this step under a debugger, which the editor attaches to. For a script: --debug train.py"
ONLY = "*"  # of `RunOptions.debug_step`: the only step, or the script
GROUP = "options for pipelines, jobs and components"


def complete_debug(words: list[str]) -> list[str]:
    """Return the words of `amllog run --debug FILE …`, in which no step is named, with ONLY as the step."""
    is_target = len(words) > 2 and (words[2] == "-m" or Path(words[2]).suffix.lower() in (*_FILES, *_SCRIPTS))
    if words[:2] != ["run", "--debug"] or not is_target:
        return words
    return [words[0], f"--debug={ONLY}", *words[2:]]


def is_definition(target: str) -> bool:
    """Return whether the target of `amllog run` is a file of Azure ML's format."""
    return Path(target).suffix.lower() in _FILES


def add_options(command: ArgumentParser) -> None:
    """Add the options."""
    group = command.add_argument_group(GROUP)
    group.add_argument(
        "--check", action="store_true", help="check the file and what it names, and run nothing"
    )
    _add_pairs(
        group, "--input", "NAME=VALUE", "a value of an input of the pipeline or component; may be repeated"
    )
    _add_pairs(
        group,
        "--data",
        "NAME=PATH",
        "the local path of a data asset or an address, such as azureml:scores@latest=data/scores; may be repeated",
    )
    _add_pairs(
        group,
        "--env",
        "NAME=PYTHON",
        "the Python of an environment, such as train-env=.venv/bin/python; may be repeated",
    )
    group.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help="the number of steps that run at the same time (default: the number of processors)",
    )
    _add_steps(group, "--skip", "do not run this step, and no step that needs it; may be repeated")
    _add_pairs(
        group, "--stub", "STEP=FOLDER", "do not run this step: its outputs are in FOLDER; may be repeated"
    )
    group.add_argument(
        "--from",
        dest="start_from",
        default="",
        metavar="STEP",
        help="run this step and all that need it, with the outputs of the last run",
    )
    _add_steps(group, "--only", "run only this step, with the outputs of the last run; may be repeated")
    group.add_argument(
        "--reuse",
        action="store_true",
        help="do not run steps whose code, command and inputs are those of an earlier run",
    )
    group.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="stop the run after this time (default: no limit)"
    )
    group.add_argument("--debug", dest="debug_step", default="", metavar="STEP", help=_DEBUG)


def used_options(options: Namespace, except_for: Set[str] = frozenset()) -> list[str]:
    """Return the options for pipelines that the command line has."""
    parser = ArgumentParser()
    add_options(parser)
    return [
        action.option_strings[0]
        for action in parser._actions
        if action.option_strings[0] not in {"-h", *except_for}
        and getattr(options, action.dest) != action.default
    ]


def parse_rest(parser: ArgumentParser, options: Namespace) -> list[str]:
    """Read the options after the file into `options`. Return the words that are no options of the command."""
    add_options(parser)
    return parser.parse_known_args(options.args, options)[1]


def pairs(values: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the values of a repeated option. The last one of a name wins."""
    return dict(values)


def _add_pairs(group: Any, name: str, metavar: str, help: str) -> None:
    group.add_argument(name, action="append", default=[], type=_Pair(metavar), metavar=metavar, help=help)


def _add_steps(group: Any, name: str, help: str) -> None:
    group.add_argument(name, action="append", default=[], metavar="STEP", help=help)


class _Pair:
    """The type of an option `NAME=VALUE`. A name may be an address that contains `=`, so its last one separates."""

    def __init__(self, metavar: str) -> None:
        self._metavar = metavar

    def __call__(self, text: str) -> tuple[str, str]:
        is_address = self._metavar == "NAME=PATH" and "://" in text.partition("=")[0]
        name, separator, value = text.rpartition("=") if is_address else text.partition("=")
        is_empty = not value and self._metavar != "NAME=VALUE"  # an empty path is the working directory
        if not separator or not name or is_empty:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {self._metavar}")
        return name, value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of steps from 1")
    return int(text)
