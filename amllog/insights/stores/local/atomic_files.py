"""Write the index and the manifest atomically, and never over a file of another program.

A new file gets a random name, is synchronized to the disk and is renamed. A link at the path is replaced, and its
target does not change. A killed process leaves the new file behind. It is recognized by its name, its first bytes and
its age, and deleted.
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

ABANDONED_SECONDS = 3600.0  # an older file under its first name is not being written any more
_RANDOM_SUFFIX = re.compile(r"\.[0-9a-f]{16}")


def is_replaceable(path: Path, prefix: bytes) -> bool:
    """Return whether there is no file, or a regular file of this user that begins with `prefix` or is empty."""
    try:
        fd = own_files.open_regular(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    with open(fd, "rb") as file:
        return prefix.startswith(file.read(len(prefix)))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under an unpredictable name and rename it. Raises OSError if it cannot be written."""
    new_path = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = own_files.open_regular(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new_path, path)
    except BaseException:  # including KeyboardInterrupt
        with contextlib.suppress(OSError):
            new_path.unlink()
        raise


def delete_abandoned(path: Path, prefix: bytes) -> None:
    """Delete new files for `path` that killed processes of this user left behind, and that begin with `prefix`."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(path.name) and _RANDOM_SUFFIX.fullmatch(entry.name[len(path.name) :]):
                with contextlib.suppress(OSError):
                    _delete_if_abandoned(path.with_name(entry.name), prefix)


def _delete_if_abandoned(path: Path, prefix: bytes) -> None:
    with open(own_files.open_regular(path), "rb") as file:
        age = time.time() - os.fstat(file.fileno()).st_mtime
        is_abandoned = age > ABANDONED_SECONDS and prefix.startswith(file.read(len(prefix)))
        if is_abandoned and not own_files.is_linked(file.fileno()):
            own_files.delete_if_same(path, descriptors.read_identity(file.fileno()))
