"""Create the journal directory, independent of the umask and not through links of other users.

The default directory on a laptop may be in a repository. It gets a `.gitignore`, so that no journal is committed.
A directory with another name gets none, because the script may store its results there.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from amllog.config.variables import LOCAL_DIRECTORY
from amllog.journal import own_files
from amllog.process import descriptors, interrupts

GITIGNORE = ".gitignore"
_IGNORE_ALL = b"# Created by amllog: the records of runs are not part of a repository.\n*\n"
_MAX_LINKS = 40  # in a path, as on Linux


def make_directory(directory: Path) -> None:
    """Create the directory, for this user only, and its parents.

    Raises OSError if its path contains a symbolic link that another user has created.
    """
    if not directory.is_dir():
        _require_own_links(directory)
        _make(directory, 0o700)
    # Also for an existing directory, and again for a new one: another process may have been faster.
    _require_own_links(directory)
    for path in (directory, *directory.parents):
        if path.name == LOCAL_DIRECTORY:
            _ignore_in_git(path)


def _ignore_in_git(directory: Path) -> None:
    """Create a `.gitignore`, unless there is one. An existing one may be the user's, and is not changed."""
    with interrupts.suppress(OSError), own_files.open_directory(directory) as parent:
        name = directory / GITIGNORE if parent is None else GITIGNORE
        fd = own_files.open_regular(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, directory=parent)
        identity = descriptors.read_identity(fd)
        is_whole = False
        try:
            is_whole = os.write(fd, _IGNORE_ALL) == len(_IGNORE_ALL)
        finally:
            descriptors.close_if_same(fd, identity)
            if not is_whole:  # on a full disk: the next process creates it
                own_files.delete_if_same(directory / GITIGNORE, identity)


def _require_own_links(directory: Path) -> None:
    """Raise OSError if the path contains a symbolic link that another user has created.

    As on Linux (protected_symlinks), links of the owner of the directory that contains the link are accepted.
    """
    if not hasattr(os, "geteuid"):
        return
    parent, rest, links = "", directory.parts[::-1], 0
    while rest:
        path, rest = os.path.join(parent, rest[-1]), rest[:-1]
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(status.st_mode):
            parent = path
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if status.st_uid not in (0, os.geteuid(), os.stat(parent or ".").st_uid):
            raise OSError(errno.ELOOP, "is a symbolic link of another user", path)
        rest += Path(os.readlink(path)).parts[::-1]


def _make(path: Path, mode: int, *, with_parents: bool = True) -> None:
    try:
        os.mkdir(path, mode)
    except FileNotFoundError:
        if path.parent == path or not with_parents:  # for example below a deleted working directory
            raise
        _make(path.parent, 0o777)
        _make(path, mode, with_parents=False)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        own_files.grant_to_owner(path)
