"""One journal segment as its readers see it: lines from any position, its checkpoint, its lock.

In: a path and an open file. Out: whole lines, and how far each outlet has processed them.
The format is in docs/architecture.md. Each read checks that the descriptor still stands for the same file.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from amllog.journal import line_reader, own_files
from amllog.journal.checkpoint import Checkpoint
from amllog.journal.checkpoint_entries import CheckpointEntry, Position
from amllog.journal.refused_counts import OVERWRITTEN, TRUNCATED
from amllog.journal.segment_file import SegmentFile
from amllog.process import descriptors, interrupts
from amllog.process.released_locks import releasing
from amllog.record.envelope import instrumentation_key, is_complete

_CHUNK_BYTES = 2 * 1024 * 1024
_LINE_BYTES = 64 * 1024


class Segment(SegmentFile):
    """One journal segment as its readers see it; only the holder of its lock writes its checkpoint."""

    def __init__(self, path: Path, fd: int, *, new: bool = False) -> None:
        """`new`: this process has just created the file, so that there is no checkpoint to read."""
        super().__init__(path, fd)
        self.torn = False  # whether the last write took only a part of its line
        self.written = itertools.count()  # lines written by this process; `next` is one step for all threads
        self._written_reads = 0
        self.displaced = (
            ""  # a sentence if others have renamed, deleted or replaced the file: nothing is appended
        )
        self.lost = False  # whether what waits in the file is lost once it is closed
        self.checkpoint = Checkpoint(path, (self.device, self.inode))
        self._positions = {} if new else self.checkpoint.read_positions(self.size)
        self._keyless, self._key = 0, b""  # bytes without any instrumentation key, and the key

    @property
    def checkpoint_error(self) -> OSError | None:
        """Why nothing of the segment can be sent, with a `strerror` for the user; None if it can."""
        return self.checkpoint.unreadable

    @property
    def unrecorded(self) -> str:
        """Why an entry of the checkpoint could be written nowhere, or an empty text."""
        return self.checkpoint.unwritable

    @property
    def invalid_entries(self) -> int:
        """How many lines of the checkpoint are no valid entries; their batches are sent again."""
        return self.checkpoint.invalid

    @property
    def outlets(self) -> list[str]:
        """The outlets that have processed something in the file, or looked at it."""
        return list(self._positions)

    def position(self, outlet: str) -> Position:
        """How far `outlet` is."""
        return self._positions.setdefault(outlet, Position())

    def is_line_settled(self, outlet: str, offset: int) -> bool:
        """Whether the line at `offset` does not wait for `outlet` any more."""
        progress = self.position(outlet)
        return offset < progress.offset and offset not in progress.retry

    def is_settled(self, outlets: Sequence[str]) -> bool:
        """Whether nothing in the file waits for any of `outlets`."""
        progresses = [self.position(outlet) for outlet in outlets]
        return not any(p.retry or self.lines(p.offset, _LINE_BYTES) for p in progresses)

    def lines(self, start: int, max_bytes: int = _CHUNK_BYTES) -> list[bytes]:
        """Whole lines from `start` on, newline included, about `max_bytes` of them; [] at the end.

        Lines that are no records may come together, and one that is too long to be ours in parts without a newline:
        no outlet takes those.
        """
        return line_reader.split(line_reader.whole(self._read, self.fd, start, max_bytes))

    def key(self) -> bytes:
        """The instrumentation key that the lines are addressed to; b"" while none has any. A file has one."""
        while not self._key:
            start = self._keyless
            lines = self.lines(start)
            if not lines:
                break
            self._key = next((key for key in map(instrumentation_key, lines) if key), b"")
            self._keyless = start + sum(map(len, lines))  # no `+=`: flush() asks beside the courier
        return self._key

    def line_at(self, offset: int) -> bytes:
        """The line that begins at `offset`; empty if there is none."""
        return next(iter(self.lines(offset, _LINE_BYTES)), b"")

    def lines_from(self, start: int) -> Iterator[bytes]:
        """Every whole line from `start` to the end."""
        while True:
            lines = self.lines(start)
            if not lines:
                return
            yield from lines
            start += sum(map(len, lines))

    def count_records(self) -> int:
        """The number of records in the file. Remembers those that it has counted."""
        truncated = self.fd >= 0 and self.size < self._counted[1]
        lines, end = (0, 0) if truncated else self._counted
        while found := self.lines(end):
            lines, end = lines + sum(map(is_complete, found)), end + sum(map(len, found))
            self._counted = lines, end
        return lines

    @property
    def damage(self) -> str:
        """The reason for which a record is not in the file any more."""
        return TRUNCATED if self.size < self.known_bytes or self.displaced else OVERWRITTEN

    @releasing("_reattaching")
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
        with self._reattaching:
            if self.fd >= 0 or self.is_locked:  # else its checkpoint is another segment's now
                self.checkpoint.append(CheckpointEntry(outlet, to, delivered, dict(refused), list(again)))
            # Only now, and `to` last: who waits for it ends the process then, or removes the file.
            progress = self.position(outlet)
            progress.delivered += delivered
            progress.refused += refused
            progress.retry = list(again)
            progress.passed += passed
            progress.offset = to

    def displace(self, notice: str) -> None:
        """Append nothing any more: the next record goes to a new file, with this notice."""
        self.displaced, self.known_bytes = notice, -1

    def move(self, path: Path, copy: Segment | None = None) -> None:
        """Continue under another path: of the same file, or of its `copy`, which is not used by anybody else."""
        with self._reattaching:
            self.path = path
            if copy is not None:
                self._exchange(copy.fd, (copy.device, copy.inode))
            self.checkpoint.move(path, (self.device, self.inode))

    def count_missing(self) -> None:
        """Count the records in the file, and as refused those that this process has written and that are gone."""
        self.count_records()
        written = self.lines_written() if self.is_locked else 0  # else another process counts what is gone
        for progress in self._positions.values():
            gone = written - progress.passed - sum(map(is_complete, self.lines_from(progress.offset)))
            if gone > 0:
                progress.refused[self.damage] += gone
                progress.passed += gone

    def refresh(self) -> None:
        """Read the checkpoint again if another process has the lock of this file, and so delivers it."""
        if not self.is_locked and self.fd >= 0:
            found = self.checkpoint.read_positions(self.size)
            if not self.checkpoint.unreadable:
                self._positions = found

    def remove(self) -> bool:
        """Delete the file if it is recognised as ours now. Return whether it is gone. Its counts stay known."""
        self.count_missing()
        self.is_locked = (
            False  # before the path is gone: no look takes the file for one that others have deleted
        )
        gone = own_files.delete_segment(self.path, self.fd)
        if gone:
            self.checkpoint.delete()
        self.close()
        return gone

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self.is_locked = False  # first: who reads nothing from now on can tell that nothing is lost
        self.last_line = b""
        fd, self.fd = self.fd, -1  # first: others may open files under this number
        if self._is_own(fd):
            descriptors.close_if_same(fd, (self.device, self.inode))
        self.checkpoint.close()

    def _read(self, count: int, start: int) -> bytes:
        """Bytes from `start` on; none at the end, and none once the file is closed, also by another thread."""
        try:
            return own_files.read_at(self.fd, count, start) if self._is_attached() else b""
        except OSError as error:
            if self.fd < 0 and not interrupts.is_from_signal(error):
                return b""
            raise

    def _reopened(self) -> None:
        if not self.is_locked:  # another process holds it now, and delivers it
            self._positions = self.checkpoint.read_positions(self.size)
            return
        # Nobody had the lock in between, so another process may have delivered something.
        self.checkpoint.write_pending()
        checkpoint = Checkpoint(self.path, (self.device, self.inode))
        found = checkpoint.read_positions(self.size)
        if checkpoint.unreadable or self.checkpoint.unwritable or not self._is_behind(found):
            return
        for progress in found.values():
            progress.passed = self._records_before(progress.offset)
        self.checkpoint.close()
        self.checkpoint, self._positions = checkpoint, found

    def _is_behind(self, found: Mapping[str, Position]) -> bool:
        """Whether others have noted more than this process."""
        return any(
            one.offset > self.position(outlet).offset
            or (one.offset == self.position(outlet).offset and one.retry != self.position(outlet).retry)
            for outlet, one in found.items()
        )

    def _records_before(self, end: int) -> int:
        """The number of records that begin before `end`."""
        count, position = 0, 0
        for line in self.lines_from(0):
            if position >= end:
                break
            count, position = count + is_complete(line), position + len(line)
        return count
