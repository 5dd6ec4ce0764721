"""Creates the journal directory, whatever the umask is, and not through links of other users."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from amllog.journal import own_files

_MAX_LINKS = 40  # that a path leads through, as for Linux


def make_directory(directory: Path) -> None:
    """Create the directory, for this user alone, and those above it.

    Raises OSError if its path leads through a link that another user has put there.
    """
    if not directory.is_dir():
        _require_own_links(directory)
        _make(directory, 0o700)
    # Of a directory that is there, and once more of a new one: others may have been faster.
    _require_own_links(directory)


def _require_own_links(directory: Path) -> None:
    """Raise OSError if the path leads through a symbolic link that another user has made.

    As for Linux (protected_symlinks), the owner of the directory that a link is in may have made it.
    """
    if not hasattr(os, "geteuid"):
        return
    here, rest, links = "", directory.parts[::-1], 0
    while rest:
        path, rest = os.path.join(here, rest[-1]), rest[:-1]
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(found.st_mode):
            here = path
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if found.st_uid not in (0, os.geteuid(), os.stat(here or ".").st_uid):
            raise OSError(errno.ELOOP, "is a symbolic link of another user", path)
        rest += Path(os.readlink(path)).parts[::-1]


def _make(path: Path, mode: int, *, with_parents: bool = True) -> None:
    try:
        os.mkdir(path, mode)
    except FileNotFoundError:
        if path.parent == path or not with_parents:  # as in a working directory that was deleted
            raise
        _make(path.parent, 0o777)
        _make(path, mode, with_parents=False)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        own_files.grant_to_owner(path)
