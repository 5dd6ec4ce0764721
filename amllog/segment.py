"""One journal segment as its readers see it: lines from any position, its checkpoint, its lock.

In: a path and an open file. Out: whole lines, and how far each outlet has processed them.
The format is in docs/map.md. Each read checks that the descriptor still stands for the same file.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from amllog import interrupts, own_files
from amllog.acknowledgements import Entry, Progress
from amllog.checkpoint import Checkpoint
from amllog.descriptor_marks import F_GETSIG, fcntl, marked
from amllog.lock import lock
from amllog.record import key_of

MAX_LINE_BYTES = 1024 * 1024  # of one line; the journal writes at most 64 KiB
_CHUNK_BYTES = 2 * 1024 * 1024
_LINE_BYTES = 64 * 1024


class Segment:
    """One journal segment as its readers see it; only the holder of its lock writes its checkpoint."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.device, self.inode = own_files.identity_of(fd)
        self.held = True  # whether this process has the lock, where it had it at first
        self.torn = False  # whether the last write took only a part of its line
        self.known_bytes = 0  # the file has at least so many, by what this process has written
        self.written = itertools.count()  # lines written by this process; `next` is one step for all threads
        self._written_reads = 0
        self.fd = fd  # -1 once the file is deleted or closed
        self._mark = 0  # of the descriptor that the journal writes to
        self._vanished = False  # the descriptor was replaced, and the path no longer stands for the file
        self._reattaching = threading.RLock()  # re-entrant: a signal handler may ask for the account
        self.checkpoint = Checkpoint(path, (self.device, self.inode))
        self._progress = self.checkpoint.progress(self.size)
        self._counted = (0, 0)  # lines in the first so many bytes
        self._keyless = 0  # bytes without any instrumentation key
        self._key = b""

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

        A line of more than `MAX_LINE_BYTES` is not ours. It comes in parts without a newline, which no outlet takes.
        """
        data = self._read(max_bytes, start)
        while data and b"\n" not in data:
            if len(data) >= MAX_LINE_BYTES:
                return [data]
            more = self._read(min(MAX_LINE_BYTES, max(max_bytes, len(data))), start + len(data))
            if not more:
                return []  # torn, or written in part: no line yet
            data += more
        return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)

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
        found = self.lines(offset, _LINE_BYTES)
        return found[0] if found else b""

    def rest(self, start: int) -> Iterator[bytes]:
        """Every whole line from `start` to the end."""
        while True:
            lines = self.lines(start)
            if not lines:
                return
            yield from lines
            start += sum(map(len, lines))

    def count(self) -> int:
        """How many lines the file has; remembers what it has counted."""
        lines, end = self._counted
        if self.fd >= 0 and self.size < end:  # truncated: what is left is counted anew
            lines, end = 0, 0
        while True:
            data = self._read(_CHUNK_BYTES, end)
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) >= MAX_LINE_BYTES:
                whole = len(data)  # a part of a line that is not ours
            if not whole:
                return lines
            lines, end = lines + data.count(b"}\n", 0, whole), end + whole  # a torn line was not accepted
            self._counted = lines, end

    def lost(self, outlet: str) -> int:
        """How many lines this process wrote that are gone from the file before `outlet` has processed them."""
        truncated = self.fd >= 0 and self.size < self.known_bytes
        if not truncated and not self._vanished:
            return 0
        return max(0, self.lines_written() - max(self.progress(outlet).passed, self.count()))

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
        """Return the file's size, or -1 if it was truncated or replaced. Raises OSError; ValueError once closed."""
        if self._mark:
            size = os.lseek(self.fd, 0, os.SEEK_END) if fcntl(self.fd, F_GETSIG) == self._mark else -1
        else:
            found = os.fstat(self.fd)
            size = found.st_size if self.is_file_of(found) else -1
        return size if size >= self.known_bytes else -1

    def mark(self) -> None:
        """Mark the descriptor for `size_to_append`."""
        self._mark = marked(self.fd)

    def is_file_of(self, found: os.stat_result) -> bool:
        """Whether the `fstat` of a descriptor is that of this segment's file."""
        return found.st_ino == self.inode and found.st_dev == self.device

    def is_in_place(self) -> bool:
        """Whether the path still stands for this file."""
        with interrupts.suppress(OSError):
            return self.is_file_of(os.stat(self.path, follow_symlinks=False))
        return False

    def remove(self) -> bool:
        """Delete the file if it is recognised as ours now; whether it is gone. What it held stays known."""
        self.count()
        gone = own_files.delete_segment(self.path, self.fd)
        if gone:
            self.checkpoint.delete()
        self.close()
        return gone

    def close(self) -> None:
        """Close the file, which releases its lock."""
        fd, self.fd = self.fd, -1  # first: others may open files under this number
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
        return fd >= 0 and (own_files.is_same(fd, (self.device, self.inode)) or self._reattach(fd))

    def _reattach(self, lost: int) -> bool:
        with self._reattaching:
            if self.fd != lost:  # closed, or another thread was first
                return self.fd >= 0
            fd = self._opened_again()
            if fd < 0:
                self.fd, self._vanished, self._counted = -1, True, (0, 0)
                return False
            self.held = self.held and lock(fd)
            self.fd = fd
            if not self.held:  # another process holds it now, and delivers it
                self._progress = self.checkpoint.progress(self.size)
            return True

    def _opened_again(self) -> int:
        """A new descriptor of the file; -1 where the path stands for it no longer."""
        with interrupts.suppress(OSError):
            fd = own_files.open_regular(self.path, os.O_RDWR | os.O_APPEND)  # the journal may go on with it
            if self.is_file_of(os.fstat(fd)):
                return fd
            os.close(fd)
        return -1
