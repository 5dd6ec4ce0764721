"""Writes the index and the manifest: at once or not at all, and never over a file that is not ours.

In: a path and its new content. Out: the file. A link in its place is replaced, and its target stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from amllog import own_files


def is_replaceable(path: Path, begin: bytes) -> bool:
    """Whether there is no file, or one of ours: a regular file of this user that begins with `begin`, or is empty."""
    try:
        fd = own_files.open_regular(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    with open(fd, "rb") as file:
        return begin.startswith(file.read(len(begin)))


def write_new(path: Path, data: bytes) -> None:
    """Write a file under a name that nobody can predict, and rename it. OSError if it cannot be written."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = own_files.open_regular(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
