"""The Python interpreters of this machine: where they are, and what a child process of each one reports about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from amllog.config.user_path import exists, expand_path, is_directory
from amllog.errors import UsageError

PROBE = Path(__file__).with_name("interpreter_probe.py")
PROBE_SECONDS = 60.0  # the start of an interpreter on a cold network file system
_PYTHONS = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")


class ScriptFault(NamedTuple):
    """A syntax error of a script, as the interpreter reports it."""

    line: int
    message: str


@dataclass(frozen=True)
class InterpreterReport:
    """The report of an interpreter about itself.

    `missing` are the modules that it cannot import, of those that it was queried for. `versions` are the installed
    distributions by their normalized name. `faults` are the scripts that it cannot compile.
    """

    version: str
    missing: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    faults: Mapping[Path, ScriptFault] = field(default_factory=lambda: MappingProxyType({}))


def current_interpreter() -> Path:
    """Return the interpreter that runs this process."""
    return Path(sys.executable)


def find_interpreter(text: str, base: Path) -> Path:
    """Return the interpreter that a user named: a folder with an environment, a file, or a name on PATH.

    A path is relative to `base`. Symbolic links are kept, because a virtual environment is known by its link. Raise
    UsageError if there is no interpreter.
    """
    path = Path(os.path.normpath(base / expand_path(text)))
    if is_directory(path):
        python = next((path / name for name in _PYTHONS if exists(path / name)), None)
        if python is None:
            raise UsageError(
                f"{path} is a folder without a Python interpreter (expected: {path / _PYTHONS[0]})"
            )
        return python
    if exists(path):
        if not os.access(path, os.X_OK):
            raise UsageError(f"{path} is not executable")
        return path
    if os.path.basename(text) == text and not text.startswith("."):
        on_path = shutil.which(text)
        if on_path is not None:
            return Path(on_path).absolute()
        raise UsageError(f"no interpreter {text!r}: neither {path} exists, nor is {text!r} on PATH")
    raise UsageError(f"{path} does not exist")


def query_interpreter(
    python: Path,
    modules: Iterable[str] = (),
    distributions: Iterable[str] = (),
    scripts: Iterable[Path] = (),
) -> InterpreterReport:
    """Start the interpreter once and return its report. Raise UsageError if it does not start or does not answer."""
    query = {
        "modules": sorted(set(modules)),
        "distributions": sorted(set(distributions)),
        "scripts": sorted({os.fspath(script) for script in scripts}),
    }
    try:
        answer = subprocess.run(
            [os.fspath(python), os.fspath(PROBE)],
            input=json.dumps(query).encode(),
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"{python} did not answer within {PROBE_SECONDS:g} s") from None
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror or error}") from None
    try:
        report = json.loads(answer.stdout.decode("utf-8", "replace").rpartition("\n\0")[2])
        return InterpreterReport(
            report["version"],
            frozenset(report["missing"]),
            report["versions"],
            {Path(script): ScriptFault(*fault) for script, fault in report["faults"].items()},
        )
    except (ValueError, KeyError, TypeError):
        lines = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {answer.returncode}"
        raise UsageError(f"{python} is not a usable Python interpreter: {reason}") from None
