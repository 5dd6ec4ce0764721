"""Paths that a person has named, in an argument or in AMLLOG_DIR.

In: a text or a path. Out: the path as `setup()` takes it, and what is there. UsageError with the reason where nobody
can tell: a name that is too long, a directory above it that this user may not enter.
"""

from __future__ import annotations

import os
import stat
from os import PathLike
from pathlib import Path

from amllog.errors import UsageError
from amllog.process import interrupts


def expand_path(path: str | PathLike[str]) -> Path:
    """The path, `~` expanded. UsageError if it begins with `~` and a name that no user has."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        interrupts.pass_on(error)
        raise UsageError(f"{path}: no user has this name, or no home directory") from None


def is_directory(path: Path) -> bool:
    """Whether there is a directory."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Whether there is a regular file."""
    return stat.S_ISREG(_mode(path))


def exists(path: Path) -> bool:
    """Whether there is anything."""
    return _mode(path) != 0


def _mode(path: Path) -> int:
    """Return the mode of the file at the path, or 0 if there is none."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
