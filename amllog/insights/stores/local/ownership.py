"""Ranks files by their owners, and checks who else can write where compactions are kept.

In: what `os.lstat` says. Out: a rank. In a directory that several people use, a file may be a copy of another with
changed texts. So the files of this user rank before those of others. Root, and the owner of the place that was named,
can replace every file there anyway; some network mounts show one owner for all files.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from amllog.errors import UsageError

OWN, TRUSTED, FOREIGN = range(3)  # of this user; of root or of the owner of the place; of another user


def owner_rank(found: os.stat_result, owner: int) -> int:
    """Whose a file is, in a place of this owner."""
    if not hasattr(os, "geteuid") or found.st_uid == os.geteuid():
        return OWN
    return TRUSTED if found.st_uid in (0, owner) else FOREIGN


def owner_id(place: Path) -> int:
    """The user id of the owner of a place. -1 if it cannot be looked at."""
    try:
        return os.stat(place).st_uid
    except OSError:
        return -1


def compacted_file_rank(path: Path, owner: int) -> int:
    """Whose a compacted file is: that of whoever owns it, or the folders that it is in. OSError if it is gone."""
    return max(owner_rank(os.lstat(one), owner) for one in (path, path.parent, path.parent.parent))


def is_world_writable(found: os.stat_result) -> bool:
    """Whether everybody can write to it."""
    return bool(stat.S_IMODE(found.st_mode) & stat.S_IWOTH)


def make_user_directory(path: Path) -> None:
    """Create a directory for this user alone, or accept one that others can read. UsageError for one of another user.

    A directory of this user loses the right of others to write in it.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise UsageError(f"{path} is a symbolic link")
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path} is not a directory")
    whose = owner_rank(found, os.stat(path.parent).st_uid)
    if whose == FOREIGN:
        raise UsageError(
            f"{path} belongs to another user (uid {found.st_uid}): compact a copy of the journal files"
        )
    if whose == OWN and stat.S_IMODE(found.st_mode) & 0o022:
        os.chmod(path, stat.S_IMODE(found.st_mode) & ~0o022)
