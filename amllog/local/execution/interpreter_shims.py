"""The folder at the beginning of a step's PATH, in which `python` is the interpreter of the step.

The shims are shell scripts and no links, because a linked interpreter does not find its virtual environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
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


def search_path(folder: Path, python: Path, path: str) -> str:
    """Return the PATH of a step: the shims, the programs of its environment, and that of the shell."""
    return ":".join([str(folder), str(python.parent), *([path] if path else [])])
