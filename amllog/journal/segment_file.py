"""The open file of a segment: its lines, and the descriptor, which the script may close or replace.

Scripts close and reuse descriptors that they did not open (`os.closerange`, `os.dup2`, python-daemon). So each use
first checks that the descriptor still belongs to the file, and opens the file again if it does not.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from amllog.journal import line_reader, own_files
from amllog.journal.lock import lock_again
from amllog.process import descriptors, interrupts
from amllog.process.descriptors import F_GETSIG, fcntl, remove_mark, set_mark
from amllog.process.released_locks import releasing
from amllog.record.envelope import instrumentation_key, is_complete

_CHUNK_BYTES = 2 * 1024 * 1024
LINE_BYTES = 64 * 1024  # of a read for one line


class SegmentFile:
    """A path, the file that was there at first, and its descriptor."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.device, self.inode = descriptors.read_identity(fd)
        # Whether this process has the lock, if it had it at first. False once the file is closed.
        self.is_locked = True
        self.known_bytes = 0  # the size of the file after the last write of this process. -1: do not append
        self.last_line = b""  # that this process has written
        self.fd = fd  # -1 once the file is deleted or closed
        self._root = _root_directory()
        self._mark = 0  # of the descriptor that the journal writes to
        self._reattaching = threading.RLock()  # re-entrant: a signal handler may request the account
        self._counted = (0, 0)  # the number of records in the first so many bytes
        self._keyless_bytes, self._key = 0, b""  # bytes without any instrumentation key, and the key

    @property
    def identity(self) -> descriptors.Identity:
        """The device and inode of the file."""
        return self.device, self.inode

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

    def lines(self, start: int, max_bytes: int = _CHUNK_BYTES) -> list[bytes]:
        """Return whole lines from `start` on, newline included, about `max_bytes` of them. [] at the end.

        Lines that are not records may come as one piece, and a line that is too long for a record in parts without a
        newline. No outlet wants these.
        """
        return line_reader.split(line_reader.read_whole_lines(self._read, self.fd, start, max_bytes))

    def lines_from(self, start: int) -> Iterator[bytes]:
        """Yield all whole lines from `start` to the end."""
        while True:
            lines = self.lines(start)
            if not lines:
                return
            yield from lines
            start += sum(map(len, lines))

    def line_at(self, offset: int) -> bytes:
        """Return the line that begins at `offset`, or b"" if there is none."""
        return next(iter(self.lines(offset, LINE_BYTES)), b"")

    def key(self) -> bytes:
        """Return the instrumentation key of the lines. b"" while none of them has one."""
        while not self._key:
            start = self._keyless_bytes
            lines = self.lines(start)
            if not lines:
                break
            self._key = next((key for key in map(instrumentation_key, lines) if key), b"")
            self._keyless_bytes = start + sum(map(len, lines))  # not `+=`: two threads may do this
        return self._key

    def count_records(self) -> int:
        """Return the number of records in the file. Remembers those that it has counted."""
        truncated = self.fd >= 0 and self.size < self._counted[1]
        records, end = (0, 0) if truncated else self._counted
        while lines := self.lines(end):
            records, end = records + sum(map(is_complete, lines)), end + sum(map(len, lines))
            self._counted = records, end
        return records

    def size_to_append(self) -> int:
        """Return the size of the file, or -1 if it was changed or replaced. Raises OSError, ValueError once closed."""
        if self._mark:
            size = os.lseek(self.fd, 0, os.SEEK_END) if fcntl(self.fd, F_GETSIG) == self._mark else -1
            # Another thread may have replaced the descriptor meanwhile. Almost no file of a script is non-blocking,
            # as ours is, and CPython runs no other thread during this call.
            if os.get_blocking(self.fd):
                return -1
        else:
            status = os.fstat(self.fd)
            size = status.st_size if self.is_file_of(status) else -1
        return size if size == self.known_bytes else -1

    def accept_size(self, size: int) -> None:
        """Continue after `size` bytes, which were not all written by `Journal.append`."""
        self.known_bytes = size

    def mark(self) -> None:
        """Mark the descriptor for `size_to_append`."""
        self._mark = self._marked(self.fd)

    def _marked(self, fd: int) -> int:
        """Mark a descriptor of the file. Return 0 if that is not possible, or if another thread has replaced it."""
        mark = 0
        with interrupts.suppress(OSError):  # the file is closed: the next write detects that
            # A system without marks may not have `get_blocking` either.
            mark = 0 if not F_GETSIG or os.get_blocking(fd) else set_mark(fd)
        if mark and not descriptors.is_same(fd, self.identity):
            remove_mark(fd, mark)
            return 0
        return mark

    def ensure_locked(self) -> bool:
        """Open the file again if the script has closed it. Return whether this process has the lock.

        Raises OSError if the file cannot be opened now.
        """
        self._is_attached()
        return self.is_locked

    def disown(self) -> None:
        """Treat the file as one whose lock another process has."""
        self.is_locked = False

    def open_again(self) -> bool:
        """Open the file again if the script uses its descriptor. Return whether the journal may use the file."""
        fd = self.fd
        return self._is_own(fd) or (self.is_in_place() and self._reattach(fd) and self.is_locked)

    def write_last_again(self) -> None:
        """Append the last line again if only this line is missing: it was written to another file.

        Do nothing otherwise, and if the file cannot be opened or locked.
        """
        with interrupts.suppress(OSError):
            if self.is_in_place() and self.size + len(self.last_line) == self.known_bytes and self.is_locked:
                os.write(self.fd, self.last_line)

    def is_out_of_reach(self) -> bool:
        """Return whether the process has another root directory than when the file was opened (chroot)."""
        return self._root != _root_directory()

    def is_file_of(self, status: os.stat_result) -> bool:
        """Return whether this is the status of the segment's file."""
        return status.st_ino == self.inode and status.st_dev == self.device

    def is_in_place(self) -> bool:
        """Return whether the file is still at its path."""
        with interrupts.suppress(OSError):
            return self.is_file_of(os.stat(self.path, follow_symlinks=False))
        return False

    def _exchange(self, fd: int, copied: descriptors.Identity) -> None:
        """Use a copy of the file instead: its descriptor and its identity."""
        former, identity, is_own = self.fd, self.identity, self._is_own(self.fd)
        self.fd, (self.device, self.inode) = fd, copied
        self._mark = self._marked(fd) if self._mark else 0
        if is_own:  # otherwise the script uses the number
            descriptors.close_if_same(former, identity)

    def _reopened(self) -> None:
        """Called after the file was opened again. `is_locked` may be False now, and others may have delivered it."""

    def _read(self, count: int, start: int) -> bytes:
        """Return bytes from `start` on. b"" at the end, and once the file is closed, also by another thread."""
        try:
            return own_files.read_at(self.fd, count, start) if self._is_attached() else b""
        except OSError as error:
            if self.fd < 0 and not interrupts.is_from_signal(error):
                return b""
            raise

    def _records_before(self, end: int) -> int:
        """Return the number of records that begin before `end`."""
        count, offset = 0, 0
        for line in self.lines_from(0):
            if offset >= end:
                break
            count, offset = count + is_complete(line), offset + len(line)
        return count

    def _is_attached(self) -> bool:
        """Return whether there is a descriptor of the file. Open it again if the script has closed or replaced it."""
        fd = self.fd
        return fd >= 0 and (self._is_own(fd) or self._reattach(fd))

    def _is_own(self, fd: int) -> bool:
        """Return whether this object has opened the descriptor. Another file may reuse the inode of a deleted one."""
        with interrupts.suppress(OSError):
            is_same = descriptors.is_same(fd, self.identity)
            return is_same and (not self._mark or fcntl(fd, F_GETSIG) == self._mark)
        return False

    @releasing("_reattaching")
    def _reattach(self, lost: int) -> bool:
        with self._reattaching:
            if self.fd != lost or self._is_own(lost):  # closed, or another thread was first
                return self.fd >= 0
            if (fd := self._open_path()) < 0:
                self.fd, self._counted = -1, (0, 0)
                return False
            self.is_locked = self.is_locked and lock_again(fd)
            if not self.is_locked:
                # Nothing is appended to it: the holder of the lock may delete it once all of it is sent.
                self.known_bytes = -1
            self._mark = self._marked(fd) if self._mark else 0
            self.fd = fd
            self._reopened()
            return True

    def _open_path(self) -> int:
        """Open the file again. Return -1 if it is not at its path. Raises OSError if no descriptor is free."""
        try:
            # For writing, because the journal may continue with it.
            fd = own_files.open_regular(self.path, os.O_RDWR | os.O_APPEND)
            if self.is_file_of(os.fstat(fd)):
                return fd
            os.close(fd)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) or interrupts.is_from_signal(error):
                raise
        return -1


def _root_directory() -> descriptors.Identity | None:
    """Return the identity of the process's root directory, or None if it cannot be read."""
    with interrupts.suppress(OSError):
        status = os.stat("/")
        return status.st_dev, status.st_ino
    return None
