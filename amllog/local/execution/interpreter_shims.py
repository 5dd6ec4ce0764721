"""The folder at the beginning of a step's PATH, in which `python` is the interpreter of the step.

The shims are shell scripts and no links, because a linked interpreter does not find its virtual environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

NAMES = ("python", "python3")


def write_shims(folder: Path, python: Path, prefix: Sequence[str] = ()) -> None:
    """Write the shims of an interpreter. `prefix` comes before the arguments, e.g. the launcher of a debugger."""
    folder.mkdir(parents=True, exist_ok=True)
    words = shlex.join([str(python), *prefix])
    for name in (*NAMES, *({python.name} if python.name.startswith("python3.") else ())):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8", errors="surrogateescape")
        shim.chmod(0o755)


def step_variables(folder: Path, python: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a step, with its PATH: the shims, the programs of its environment, those of the shell.

    VIRTUAL_ENV is that of the interpreter. Without a buffer in Python, `kill -9` loses no line that a step has printed.
    """
    path = environment.get("PATH", "")
    result = {"PYTHONUNBUFFERED": "1", **environment}
    result["PATH"] = ":".join([str(folder), str(python.parent), *([path] if path else [])])
    result.pop("VIRTUAL_ENV", None)
    if (python.parent.parent / "pyvenv.cfg").exists():
        result["VIRTUAL_ENV"] = str(python.parent.parent)
    return result
