"""One journal segment as its readers see it: lines from any position, its checkpoint, its lock.

In: a path and an open file. Out: whole lines, and how far each outlet has processed them.
The format is in docs/map.md. Each read checks that the descriptor still stands for the same file.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from amllog import interrupts, own_files, pieces
from amllog.acknowledgements import Entry, Progress
from amllog.checkpoint import Checkpoint
from amllog.descriptor_marks import F_GETSIG, fcntl, marked
from amllog.lock import lock
from amllog.record import is_whole, key_of
from amllog.refusals import OVERWRITTEN, TRUNCATED

_CHUNK_BYTES = 2 * 1024 * 1024
_LINE_BYTES = 64 * 1024


class Segment:
    """One journal segment as its readers see it; only the holder of its lock writes its checkpoint."""

    def __init__(self, path: Path, fd: int, *, new: bool = False) -> None:
        """`new`: this process has just created the file, so that there is no checkpoint to read."""
        self.path = path
        self.device, self.inode = own_files.identity_of(fd)
        # Whether this process has the lock, if it had it at first. False once it is closed.
        self.held = True
        self.torn = False  # whether the last write took only a part of its line
        self.known_bytes = 0  # what the file has by what this process has written
        self.written = itertools.count()  # lines written by this process; `next` is one step for all threads
        self._written_reads = 0
        self.fd = fd  # -1 once the file is deleted or closed
        self._mark = 0  # of the descriptor that the journal writes to
        self._reattaching = threading.RLock()  # re-entrant: a signal handler may ask for the account
        self.checkpoint = Checkpoint(path, (self.device, self.inode))
        self._progress = {} if new else self.checkpoint.progress(self.size)
        self._counted = (0, 0)  # lines in the first so many bytes
        self._keyless, self._key = 0, b""  # bytes without any instrumentation key, and the key

    @property
    def fault(self) -> OSError | None:
        """Why nothing of the segment can be sent, with a `strerror` for the user; None if it can."""
        return self.checkpoint.unreadable

    @property
    def unnoted(self) -> str:
        """Why an entry of the checkpoint could be written nowhere, or an empty text."""
        return self.checkpoint.unwritable

    @property
    def invalid_entries(self) -> int:
        """How many lines of the checkpoint are no valid entries; their batches are sent again."""
        return self.checkpoint.invalid

    @property
    def size(self) -> int:
        """Bytes in the file now; 0 once it is deleted or closed, also by others."""
        with interrupts.suppress(OSError):
            return os.fstat(self.fd).st_size if self._is_attached() else 0
        return 0

    @property
    def modified(self) -> float:
        """When the file was last written to, in seconds since the epoch; 0.0 once it is deleted or closed."""
        with interrupts.suppress(OSError):
            return os.fstat(self.fd).st_mtime if self._is_attached() else 0.0
        return 0.0

    def progress(self, outlet: str) -> Progress:
        """How far `outlet` is."""
        return self._progress.setdefault(outlet, Progress())

    def settled(self, outlets: Sequence[str]) -> bool:
        """Whether nothing in the file waits for any of `outlets`."""
        progresses = [self.progress(outlet) for outlet in outlets]
        return not any(p.again or self.lines(p.to, _LINE_BYTES) for p in progresses)

    def lines(self, start: int, max_bytes: int = _CHUNK_BYTES) -> list[bytes]:
        """Whole lines from `start` on, newline included, about `max_bytes` of them; [] at the end.

        Lines that are no records may come together, and one that is too long to be ours in parts without a newline:
        no outlet takes those.
        """
        return pieces.split(pieces.whole(self._read, self.fd, start, max_bytes))

    def key(self) -> bytes:
        """The instrumentation key that the lines are addressed to; b"" while none has any. A file has one."""
        while not self._key:
            start = self._keyless
            lines = self.lines(start)
            if not lines:
                break
            self._key = next((key for key in map(key_of, lines) if key), b"")
            self._keyless = start + sum(map(len, lines))  # no `+=`: flush() asks beside the courier
        return self._key

    def line(self, offset: int) -> bytes:
        """The line that begins at `offset`; empty if there is none."""
        return next(iter(self.lines(offset, _LINE_BYTES)), b"")

    def rest(self, start: int) -> Iterator[bytes]:
        """Every whole line from `start` to the end."""
        while True:
            lines = self.lines(start)
            if not lines:
                return
            yield from lines
            start += sum(map(len, lines))

    def count(self) -> int:
        """The number of records in the file. Remembers those that it has counted."""
        truncated = self.fd >= 0 and self.size < self._counted[1]
        lines, end = (0, 0) if truncated else self._counted
        while found := self.lines(end):
            lines, end = lines + sum(map(is_whole, found)), end + sum(map(len, found))
            self._counted = lines, end
        return lines

    @property
    def damage(self) -> str:
        """The reason for which a record is not in the file any more."""
        return TRUNCATED if self.size < self.known_bytes else OVERWRITTEN

    def lines_written(self) -> int:
        """How many lines this process has appended."""
        with self._reattaching:
            found = next(self.written) - self._written_reads
            self._written_reads += 1
        return found

    def acknowledge(
        self,
        outlet: str,
        to: int,
        delivered: int,
        refused: Counter[str],
        again: Sequence[int],
        *,
        passed: int = 0,
    ) -> None:
        """Write down a batch's verdicts; `passed` is the number of lines between the former `to` and this one.

        A kill before this line sends the batch again, with the same record ids.
        """
        self.checkpoint.append(Entry(outlet, to, delivered, dict(refused), list(again)))
        # Only now, and `to` last: who waits for it ends the process then, or removes the file.
        progress = self.progress(outlet)
        progress.delivered += delivered
        progress.refused += refused
        progress.again = list(again)
        progress.passed += passed
        progress.to = to

    def size_to_append(self) -> int:
        """Return the file's size, or -1 if it was changed or replaced. Raises OSError, and ValueError once closed."""
        if self._mark:
            size = os.lseek(self.fd, 0, os.SEEK_END) if fcntl(self.fd, F_GETSIG) == self._mark else -1
        else:
            found = os.fstat(self.fd)
            size = found.st_size if self.is_file_of(found) else -1
        return size if size == self.known_bytes else -1

    def mark(self) -> None:
        """Mark the descriptor for `size_to_append`."""
        self._mark = marked(self.fd)

    def open_again(self) -> bool:
        """Open the file again if the script has opened it under this number. Return whether the journal may use it."""
        fd = self.fd
        return self._is_own(fd) or (self.is_in_place() and self._reattach(fd) and self.held)

    def is_file_of(self, found: os.stat_result) -> bool:
        """Whether the `fstat` of a descriptor is that of this segment's file."""
        return found.st_ino == self.inode and found.st_dev == self.device

    def is_in_place(self) -> bool:
        """Whether the path still stands for this file."""
        with interrupts.suppress(OSError):
            return self.is_file_of(os.stat(self.path, follow_symlinks=False))
        return False

    def remove(self) -> bool:
        """Delete the file if it is recognised as ours now. Return whether it is gone. Its counts stay known."""
        self.count()
        gone = own_files.delete_segment(self.path, self.fd)
        if gone:
            self.checkpoint.delete()
        self.close()
        return gone

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self.held = False  # first: who reads nothing from now on can tell that nothing is lost
        fd, self.fd = self.fd, -1  # first: others may open files under this number
        if self._is_own(fd):
            own_files.close_same(fd, (self.device, self.inode))
        self.checkpoint.close()

    def _read(self, count: int, start: int) -> bytes:
        """Bytes from `start` on; none at the end, and none once the file is closed, also by another thread."""
        try:
            return own_files.read_at(self.fd, count, start) if self._is_attached() else b""
        except OSError as error:
            if self.fd < 0 and not interrupts.is_from_signal(error):
                return b""
            raise

    def _is_attached(self) -> bool:
        """Whether the descriptor stands for the file; opens it again where the script has closed or replaced it."""
        fd = self.fd
        return fd >= 0 and (self._is_own(fd) or self._reattach(fd))

    def _is_own(self, fd: int) -> bool:
        """Whether this segment has opened the descriptor. Another file may have the inode of one that was deleted."""
        with interrupts.suppress(OSError):
            is_same = own_files.is_same(fd, (self.device, self.inode))
            return is_same and (not self._mark or fcntl(fd, F_GETSIG) == self._mark)
        return False

    def _reattach(self, lost: int) -> bool:
        with self._reattaching:
            if self.fd != lost:  # closed, or another thread was first
                return self.fd >= 0
            if (fd := self._opened_again()) < 0:
                self.fd, self._counted = -1, (0, 0)
                return False
            self.held = self.held and lock(fd)
            self._mark = marked(fd) if self._mark else 0
            self.fd = fd
            if not self.held:  # another process holds it now, and delivers it
                self._progress = self.checkpoint.progress(self.size)
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
