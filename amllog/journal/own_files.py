"""Open, recognize and delete our own files in directories that other programs can write to.

A journal directory may be the script's `./outputs`, or a directory in `/tmp`. So a name alone is not enough: the entry
may be a symbolic link to another file, a FIFO that blocks on open, or a file of the user. Three rules follow:

* A file is opened without following a link and without waiting. After that, `fstat` shows that it is a regular file of
  an accepted owner.
* A file is ours if its name has our form and its first bytes have our format (`signature`, `checkpoint_signature`).
* A descriptor is ours as long as `fstat` shows the same file. Scripts close and reuse descriptors that they did not
  open (`os.closerange`, `os.dup2`, python-daemon).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from amllog.journal.signature import has_records
from amllog.process import descriptors, interrupts
from amllog.process.descriptors import Identity

HEAD_BYTES = 512
_BLOCK_BYTES = 512  # the unit of st_blocks on all file systems
_FIRST_FREE = 3  # 0, 1 and 2 are the standard streams, also if they are closed
_SAFE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_HAS_DIRECTORY_DESCRIPTORS = os.open in os.supports_dir_fd and os.unlink in os.supports_dir_fd


def open_regular(path: str | Path, flags: int = os.O_RDONLY, *, directory: int | None = None) -> int:
    """Open a regular file and return its descriptor, which is 3 or higher.

    `directory`: the descriptor of the directory that a relative `path` starts at. A new file gets the mode 0600.
    Raises OSError if the path is a symbolic link, not a regular file, or the file of another user.
    """
    if not flags & os.O_EXCL:
        try:
            _require_regular(os.stat(path, dir_fd=directory, follow_symlinks=False), path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:  # if no descriptor is free, `os.open` would not report this
                raise
    fd = _above_standard_streams(os.open(path, flags | _SAFE, 0o600, dir_fd=directory))
    try:
        status = os.fstat(fd)
        _require_regular(status, path)
        if not flags & os.O_EXCL:
            _require_owner(status, path, directory)
        elif status.st_mode & 0o600 != 0o600:  # the umask has removed what other processes of this user need
            os.chmod(fd if os.chmod in os.supports_fd else path, 0o600)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_bounded(path: str | Path, max_bytes: int, *, directory: int | None = None) -> bytes:
    """Read a regular file. Raises OSError as `open_regular`, with EFBIG if the file has more than `max_bytes`."""
    fd = open_regular(path, directory=directory)
    with open(fd, "rb", buffering=0) as file:
        size = os.fstat(fd).st_size
        data = file.read(max_bytes + 1) if size <= max_bytes else None
        while data is not None and len(data) <= max_bytes and (more := file.read(max_bytes + 1 - len(data))):
            data += more
    if data is None or len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"has more than {max_bytes:,} bytes", str(path))
    return data


def read_head(fd: int) -> bytes:
    """Return the first bytes of an open file."""
    return read_at(fd, HEAD_BYTES, 0)


def read_at(fd: int, count: int, offset: int) -> bytes:
    """Return at most `count` bytes of an open file from `offset` on. Raises OSError."""
    if hasattr(os, "pread"):
        return os.pread(fd, count, offset)
    os.lseek(fd, offset, os.SEEK_SET)  # Windows
    return os.read(fd, count)


def stored_bytes(status: os.stat_result) -> int:
    """Return the bytes that a file uses on the disk. A sparse file uses less than its size."""
    # Some systems do not have this number, and some file systems report 0.
    blocks: int = getattr(status, "st_blocks", 0)
    return min(status.st_size, blocks * _BLOCK_BYTES) if blocks else status.st_size


def identity_at(path: Path) -> Identity | None:
    """Return the identity of the file at a path, or None if there is none. Raises OSError if it cannot be read."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def is_linked(fd: int) -> bool:
    """Return whether an open file has several hard links. The other one may be a file of the user."""
    return os.fstat(fd).st_nlink > 1  # some file systems report 0


def is_at(path: Path, identity: Identity) -> bool:
    """Return whether this file is at the path. True also if that cannot be determined."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return True
    return (status.st_dev, status.st_ino) == identity


def delete_if_same(path: Path, identity: Identity) -> bool:
    """Delete a file if it is still at the path. Return whether it was deleted."""
    with interrupts.suppress(OSError), open_directory(path.parent) as directory:
        name = path if directory is None else path.name
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if (status.st_dev, status.st_ino) == identity:
            os.unlink(name, dir_fd=directory)
            return True
    return False


def is_deletable(path: Path, fd: int) -> bool:
    """Return whether an open file is recognized as a segment by its first line now, and has no other hard link."""
    with interrupts.suppress(OSError):
        return has_records(path.name, read_head(fd)) and not is_linked(fd)
    return False


def delete_segment(path: Path, fd: int) -> bool:
    """Delete the segment of an open file, if it is recognized as one now. Return whether it is gone."""
    try:
        if is_deletable(path, fd):
            delete_if_same(path, descriptors.read_identity(fd))
        os.stat(path, follow_symlinks=False)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return isinstance(error, FileNotFoundError)
    return False


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int | None]:
    """Open a directory for the block, for paths relative to its descriptor. None if the system does not support it."""
    if not _HAS_DIRECTORY_DESCRIPTORS:
        yield None
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    identity = descriptors.read_identity(fd)
    try:
        yield fd
    finally:
        descriptors.close_if_same(fd, identity)


def make_private(path: Path) -> None:
    """Create a directory for this user only, or check an existing one. Raises OSError if it is not private.

    A directory of this user that others may read gets the mode 0700.
    """
    with interrupts.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.stat(path, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(path))
    if hasattr(os, "geteuid"):
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(path))
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(path, 0o700)


def grant_to_owner(path: str | Path) -> None:
    """Give this user all rights to a new directory, because the umask may have removed some."""
    mode = stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(path, mode | 0o700)


def is_private(path: Path) -> bool:
    """Return whether a directory of this user is at the path, to which no other user can write."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return False
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISDIR(status.st_mode) and is_own and not stat.S_IMODE(status.st_mode) & 0o022


def _require_regular(status: os.stat_result, path: str | Path) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "is a symbolic link", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))


def _require_owner(status: os.stat_result, path: str | Path, directory: int | None) -> None:
    """Accept this user, and the owner of the directory, because some network mounts show one owner for all files."""
    if not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return
    parent = os.fstat(directory) if directory is not None else os.stat(os.path.dirname(path) or ".")
    if status.st_uid != parent.st_uid:
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))


def _above_standard_streams(fd: int) -> int:
    """Move a descriptor to a number above the standard streams, where child processes would write their output."""
    if fd >= _FIRST_FREE:
        return fd
    try:
        import fcntl

        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    except ImportError:  # Windows
        return os.dup(fd)
    finally:
        os.close(fd)
