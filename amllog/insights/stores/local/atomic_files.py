"""Writes the index and the manifest: at once or not at all, and never over a file that is not ours.

In: a path and its new content. Out: the file. A link in its place is replaced, and its target stays as it is. What a
process that was killed has left of a new file is recognised by its name, its first bytes and its age, and deleted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

from amllog.journal import own_files
from amllog.process import descriptors

ABANDONED_SECONDS = 3600.0  # after which nobody writes a file any more that is not renamed yet
_SUFFIX = re.compile(r"\.[0-9a-f]{16}")


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


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a name that nobody can predict, and rename it. OSError if it cannot be written."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = own_files.open_regular(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def delete_abandoned(path: Path, begin: bytes) -> None:
    """Delete what killed processes of this user have left of new files for `path`, which begin with `begin`."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(path.name) and _SUFFIX.fullmatch(entry.name[len(path.name) :]):
                with contextlib.suppress(OSError):
                    _delete_if_abandoned(path.with_name(entry.name), begin)


def _delete_if_abandoned(path: Path, begin: bytes) -> None:
    with open(own_files.open_regular(path), "rb") as file:
        found = os.fstat(file.fileno())
        is_left = time.time() - found.st_mtime > ABANDONED_SECONDS and begin.startswith(file.read(len(begin)))
        if is_left and not own_files.is_linked(file.fileno()):
            own_files.delete_same(path, descriptors.read_identity(file.fileno()))
