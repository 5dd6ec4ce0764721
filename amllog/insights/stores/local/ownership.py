"""Rank files by their owners, and check who can write to the folder of compacted files.

In a directory that several people use, a file may be a copy of another one with changed content. So the files of this
user rank before those of others. Root and the owner of the directory can replace every file in it anyway. Some network
mounts show one owner for all files.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from amllog.errors import UsageError

# The ranks: of this user, of root or of the owner of the directory, of another user.
OWN, TRUSTED, FOREIGN = range(3)


def owner_rank(status: os.stat_result, directory_owner: int) -> int:
    """Return the rank of a file or directory, in a directory of the user with this id."""
    if not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return OWN
    return TRUSTED if status.st_uid in (0, directory_owner) else FOREIGN


def owner_id(path: Path) -> int:
    """Return the user id of the owner of a file or directory, or -1 if it cannot be read."""
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def compacted_file_rank(path: Path, directory_owner: int) -> int:
    """Return the rank of a compacted file: the highest one of the file and the two folders above it.

    The owner of a folder can replace the files in it. Raises OSError if the file does not exist.
    """
    paths = (path, path.parent, path.parent.parent)
    return max(owner_rank(os.lstat(path), directory_owner) for path in paths)


def is_world_writable(status: os.stat_result) -> bool:
    """Return whether every user can write to the file."""
    return bool(stat.S_IMODE(status.st_mode) & stat.S_IWOTH)


def make_user_directory(path: Path) -> None:
    """Create a directory with the mode 0700, or accept an existing one that no other user can write to.

    The write permissions of others are removed from a directory of this user. Raises UsageError for a directory of
    another user.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(f"{path} is a symbolic link")
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path} is not a directory")
    rank = owner_rank(status, os.stat(path.parent).st_uid)
    if rank == FOREIGN:
        raise UsageError(
            f"{path} belongs to another user (uid {status.st_uid}): compact a copy of the journal files"
        )
    if rank == OWN and stat.S_IMODE(status.st_mode) & 0o022:
        os.chmod(path, stat.S_IMODE(status.st_mode) & ~0o022)
