"""The open file of a segment: recognised at each use, and opened again where the script has closed or replaced it.

In: a path and a descriptor. Out: the size, and whether the descriptor may be used. Scripts close and reuse descriptors
that they did not open.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.lock import lock
from amllog.process import descriptors, interrupts
from amllog.process.descriptors import F_GETSIG, fcntl, remove_mark, set_mark
from amllog.process.released_locks import releasing


class SegmentFile:
    """A path, the file that was there at first, and its descriptor."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.device, self.inode = descriptors.read_identity(fd)
        # Whether this process has the lock, if it had it at first. False once it is closed.
        self.is_locked = True
        self.known_bytes = 0  # what the file has by what this process has written
        self.last_line = b""  # that this process has written
        self.fd = fd  # -1 once the file is deleted or closed
        self._root = _root()
        self._mark = 0  # of the descriptor that the journal writes to
        self._reattaching = threading.RLock()  # re-entrant: a signal handler may ask for the account
        self._counted = (0, 0)  # lines in the first so many bytes

    @property
    def size(self) -> int:
        """The number of bytes in the file now. 0 once it is deleted or closed, also by others."""
        with interrupts.suppress(OSError):
            return os.fstat(self.fd).st_size if self._is_attached() else 0
        return 0

    @property
    def modified(self) -> float:
        """The time of the last write, in seconds since the epoch. 0.0 once the file is deleted or closed."""
        with interrupts.suppress(OSError):
            return os.fstat(self.fd).st_mtime if self._is_attached() else 0.0
        return 0.0

    def size_to_append(self) -> int:
        """Return the file's size, or -1 if it was changed or replaced. Raises OSError, and ValueError once closed."""
        if self._mark:
            size = os.lseek(self.fd, 0, os.SEEK_END) if fcntl(self.fd, F_GETSIG) == self._mark else -1
            # Another thread may have replaced the descriptor meanwhile. Almost no file of a script is non-blocking,
            # as ours is, and CPython runs no other thread while it asks for that.
            if os.get_blocking(self.fd):
                return -1
        else:
            found = os.fstat(self.fd)
            size = found.st_size if self.is_file_of(found) else -1
        return size if size == self.known_bytes else -1

    def mark(self) -> None:
        """Mark the descriptor for `size_to_append`."""
        self._mark = self._marked(self.fd)

    def _marked(self, fd: int) -> int:
        """Mark a descriptor of the file. Return 0 if that is not possible, or if another thread has replaced it."""
        mark = 0
        with interrupts.suppress(OSError):  # the file is closed: the next write finds that out
            # Where the system has no marks, it may have no `get_blocking` either.
            mark = 0 if not F_GETSIG or os.get_blocking(fd) else set_mark(fd)
        if mark and not descriptors.is_same(fd, (self.device, self.inode)):
            remove_mark(fd, mark)
            return 0
        return mark

    def ensure_locked(self) -> bool:
        """Whether this process has the lock, once the file is opened again where the script has closed it.

        Raises OSError if that is not possible now.
        """
        self._is_attached()
        return self.is_locked

    def open_again(self) -> bool:
        """Open the file again if the script has opened it under this number. Return whether the journal may use it."""
        fd = self.fd
        return self._is_own(fd) or (self.is_in_place() and self._reattach(fd) and self.is_locked)

    def write_last_again(self) -> None:
        """Append the last line again if the file lacks this line and nothing else: another file has received it.

        Do nothing otherwise, and if the file cannot be opened or locked.
        """
        with interrupts.suppress(OSError):
            if self.is_in_place() and self.size + len(self.last_line) == self.known_bytes and self.is_locked:
                os.write(self.fd, self.last_line)

    def is_out_of_reach(self) -> bool:
        """Whether the process has another root directory than when the file was opened (chroot)."""
        return self._root != _root()

    def is_file_of(self, found: os.stat_result) -> bool:
        """Whether the `fstat` of a descriptor is that of this segment's file."""
        return found.st_ino == self.inode and found.st_dev == self.device

    def is_in_place(self) -> bool:
        """Whether the path still stands for this file."""
        with interrupts.suppress(OSError):
            return self.is_file_of(os.stat(self.path, follow_symlinks=False))
        return False

    def _exchange(self, fd: int, copied: descriptors.Identity) -> None:
        """Use a copy of the file in its place: its descriptor and its identity."""
        former, identity, is_own = self.fd, (self.device, self.inode), self._is_own(self.fd)
        self.fd, (self.device, self.inode) = fd, copied
        self._mark = self._marked(fd) if self._mark else 0
        if is_own:  # else it is the script's by now
            descriptors.close_if_same(former, identity)

    def _reopened(self) -> None:
        """Called once the file was opened again: `held` may have become False, and others may have delivered it."""

    def _is_attached(self) -> bool:
        """Return whether there is a descriptor of the file. Open it again if the script has closed or replaced it."""
        fd = self.fd
        return fd >= 0 and (self._is_own(fd) or self._reattach(fd))

    def _is_own(self, fd: int) -> bool:
        """Whether this segment has opened the descriptor. Another file may have the inode of one that was deleted."""
        with interrupts.suppress(OSError):
            is_same = descriptors.is_same(fd, (self.device, self.inode))
            return is_same and (not self._mark or fcntl(fd, F_GETSIG) == self._mark)
        return False

    @releasing("_reattaching")
    def _reattach(self, lost: int) -> bool:
        with self._reattaching:
            if self.fd != lost or self._is_own(lost):  # closed, or another thread was first
                return self.fd >= 0
            if (fd := self._opened_again()) < 0:
                self.fd, self._counted = -1, (0, 0)
                return False
            self.is_locked = self.is_locked and lock(fd)
            if not self.is_locked:
                # Nothing is appended to it: its holder may delete it once it has sent all of it.
                self.known_bytes = -1
            self._mark = self._marked(fd) if self._mark else 0
            self.fd = fd
            self._reopened()
            return True

    def _opened_again(self) -> int:
        """A new descriptor of the file, or -1 if the path no longer stands for it. Raises OSError if none is free."""
        try:
            fd = own_files.open_regular(self.path, os.O_RDWR | os.O_APPEND)  # the journal may go on with it
            if self.is_file_of(os.fstat(fd)):
                return fd
            os.close(fd)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) or interrupts.is_from_signal(error):
                raise
        return -1


def _root() -> descriptors.Identity | None:
    """The root directory of the process."""
    with interrupts.suppress(OSError):
        found = os.stat("/")
        return found.st_dev, found.st_ino
    return None
