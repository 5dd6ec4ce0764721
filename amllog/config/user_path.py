"""Expand and check a path that a user passed as an argument or in AMLLOG_DIR.

The functions raise UsageError with the reason if the operating system rejects the path: the name is too long, or the
user may not enter a directory above it.
"""

from __future__ import annotations

import os
import stat
from os import PathLike
from pathlib import Path

from amllog.errors import UsageError
from amllog.process import interrupts


def expand_path(path: str | PathLike[str]) -> Path:
    """Return the path with `~` expanded. Raise UsageError if it begins with `~` and the name of an unknown user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        interrupts.pass_on(error)
        raise UsageError(f"{path}: no user has this name, or no home directory") from None


def is_directory(path: Path) -> bool:
    """Return whether the path is a directory."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Return whether the path is a regular file."""
    return stat.S_ISREG(_mode(path))


def exists(path: Path) -> bool:
    """Return whether the path exists."""
    return _mode(path) != 0


def _mode(path: Path) -> int:
    """Return the mode of the file at the path, or 0 if it does not exist."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
