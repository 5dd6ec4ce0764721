"""One segment of the journal: its lines, its checkpoint and its lock. This is the description of the file format.

The journal is a write-ahead log in a directory (`AMLLOG_DIR`). A process writes one or more segments of two files each:

* `<UTC time>-<node>-<pid>-<6 hex digits>.jsonl` has one envelope per line: exactly the bytes that are sent later, in an
  array and compressed with gzip. A line begins with `{"time":"2026-11-22T20:52:35.123456Z","iKey":"…",`. Without
  `iKey`, it is not meant for Application Insights (below `insights_level`). With `"iKey":""`, it is, but no connection
  string was known yet. All other keys of a segment are equal.
* The same name with `.ack` is the checkpoint, with one JSON line per processed batch (`checkpoint_entries`).

A file is a segment if its name has this form and its first line begins as all lines do (`signature`). A file is a
checkpoint if its first line is an entry (`checkpoint_signature`). Other files in the directory are never counted,
locked, written to or deleted. A file with several hard links is never deleted, and a checkpoint with several is not
written to either.

A metric for run history has the property `run_metric` (`scalar`, `list`, `row`, `table`, or `call` for tags and
artifacts), and `run_id` if its run is not `step_id`. A scalar is a `MetricData` envelope. The others are `EventData`,
with JSON in the property `run_metric_data`. Its member `file` names a copy of a file in the journal's directory:
`artifacts/<12 hex digits>-<name>`. The copy is kept until its line is delivered or refused (`artifact_copies`).

The guarantees:

* A record is written with one `write` before the log call returns. The operating system has it then, so a killed
  process loses no record.
* The writer holds a lock (`flock`) on the segment. A segment without a lock is an orphan, and the process that takes
  the lock delivers it. If that happens to a new file, its writer deletes the file and creates another one.
* An entry is in the checkpoint before its batch counts as settled. After a kill in between, the batch is sent again
  with the same record ids.
* A segment is deleted only after all outlets have processed it, and if it is recognized as a segment at that moment.
* Each read and each write checks that the descriptor still belongs to the file. If others rename, delete or replace a
  segment, its writer continues in a new one (`displacement`, `recovery`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.checkpoint import Checkpoint
from amllog.journal.checkpoint_entries import CheckpointEntry, Position
from amllog.journal.refused_counts import OVERWRITTEN, TRUNCATED
from amllog.journal.segment_file import LINE_BYTES, SegmentFile
from amllog.process import descriptors
from amllog.process.released_locks import releasing
from amllog.record.envelope import is_complete


class Segment(SegmentFile):
    """One segment with its checkpoint. Only the holder of the lock writes the checkpoint."""

    def __init__(self, path: Path, fd: int, *, new: bool = False) -> None:
        """`new`: this process has just created the file, so there is no checkpoint to read."""
        super().__init__(path, fd)
        self.torn = False  # whether the last write wrote only a part of its line
        self.written = itertools.count()  # lines written by this process. `next` is one step for all threads
        self._written_reads = 0
        # The notice, if others have renamed, deleted or replaced the file. Nothing is appended to it any more.
        self.displaced = ""
        self.lost = False  # whether the waiting lines are lost once the file is closed
        self.checkpoint = Checkpoint(path, self.identity)
        self._positions = {} if new else self.checkpoint.read_positions(self.size)

    @property
    def checkpoint_error(self) -> OSError | None:
        """Why nothing of the segment can be sent, with a `strerror` for the user. None if it can."""
        return self.checkpoint.unreadable

    @property
    def unrecorded(self) -> str:
        """Why an entry of the checkpoint could not be written to any file, or ""."""
        return self.checkpoint.unwritable

    @property
    def invalid_entries(self) -> int:
        """The number of lines of the checkpoint that are not valid entries. Their batches are sent again."""
        return self.checkpoint.invalid

    @property
    def outlets(self) -> list[str]:
        """The outlets whose position in the segment is known."""
        return list(self._positions)

    def position(self, outlet: str) -> Position:
        """Return the position of an outlet."""
        return self._positions.setdefault(outlet, Position())

    def is_line_settled(self, outlet: str, offset: int) -> bool:
        """Return whether the line at `offset` does not wait for the outlet."""
        position = self.position(outlet)
        return offset < position.offset and offset not in position.retry

    def is_settled(self, outlets: Sequence[str]) -> bool:
        """Return whether no line waits for any of these outlets."""
        positions = [self.position(outlet) for outlet in outlets]
        return not any(one.retry or self.lines(one.offset, LINE_BYTES) for one in positions)

    @property
    def damage(self) -> str:
        """The reason why a record is no longer in the file."""
        return TRUNCATED if self.size < self.known_bytes or self.displaced else OVERWRITTEN

    @releasing("_reattaching")
    def lines_written(self) -> int:
        """Return the number of lines that this process has appended."""
        with self._reattaching:
            count = next(self.written) - self._written_reads
            self._written_reads += 1
        return count

    def acknowledge(
        self,
        outlet: str,
        offset: int,
        delivered: int,
        refused: Counter[str],
        retry: Sequence[int],
        *,
        passed: int = 0,
    ) -> None:
        """Record the verdicts of a batch. `passed`: the number of lines between the former `offset` and this one.

        A kill before this call sends the batch again, with the same record ids.
        """
        with self._reattaching:
            if self.fd >= 0 or self.is_locked:  # otherwise the checkpoint belongs to another segment now
                entry = CheckpointEntry(outlet, offset, delivered, dict(refused), list(retry))
                self.checkpoint.append(entry)
            # Only now: a thread that waits for the new position ends the process then, or deletes the file.
            self.position(outlet).advance(offset, delivered, refused, retry, passed)

    def displace(self, notice: str) -> None:
        """Append nothing any more. The next record starts a new file, with this notice."""
        self.displaced, self.known_bytes = notice, -1

    def give_up(self, *, last: bool) -> None:
        """Mark a displaced file that cannot be recovered now. `last`: it will not be tried again."""
        self.lost = last

    def move(self, path: Path, copy: Segment | None = None) -> None:
        """Continue under another path, of the same file or of its `copy`, which nobody else uses."""
        with self._reattaching:
            self.path = path
            if copy is not None:
                self._exchange(copy.fd, copy.identity)
            self.checkpoint.move(path, self.identity)

    def count_missing(self) -> None:
        """Count the records in the file, and those as refused that this process has written and that are missing."""
        self.count_records()
        # Without the lock, another process counts missing records.
        written = self.lines_written() if self.is_locked else 0
        for position in self._positions.values():
            gone = written - position.passed - sum(map(is_complete, self.lines_from(position.offset)))
            if gone > 0:
                position.count_missing(gone, self.damage)

    def refresh(self) -> None:
        """Read the checkpoint again if another process has the lock of this file and delivers it."""
        if not self.is_locked and self.fd >= 0:
            positions = self.checkpoint.read_positions(self.size)
            if not self.checkpoint.unreadable:
                self._positions = positions

    def remove(self) -> bool:
        """Delete the file if it is recognized as a segment now. Return whether it is gone. Its counts are kept."""
        self.count_missing()
        self.is_locked = False  # first: otherwise the file looks as if others had deleted it
        gone = own_files.delete_segment(self.path, self.fd)
        if gone:
            self.checkpoint.delete()
        self.close()
        return gone

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self.is_locked = False  # first: a thread that reads nothing from now on knows that nothing is lost
        self.last_line = b""
        fd, self.fd = self.fd, -1  # first: others may open files with this number
        if self._is_own(fd):
            descriptors.close_if_same(fd, self.identity)
        self.checkpoint.close()

    def _reopened(self) -> None:
        if not self.is_locked:  # another process holds the lock now, and delivers it
            self._positions = self.checkpoint.read_positions(self.size)
            return
        # The lock was free in between, so another process may have delivered something.
        self.checkpoint.write_pending()
        checkpoint = Checkpoint(self.path, self.identity)
        positions = checkpoint.read_positions(self.size)
        if checkpoint.unreadable or self.checkpoint.unwritable or not self._is_behind(positions):
            return
        for position in positions.values():
            position.set_passed(self._records_before(position.offset))
        self.checkpoint.close()
        self.checkpoint, self._positions = checkpoint, positions

    def _is_behind(self, positions: Mapping[str, Position]) -> bool:
        """Return whether others have recorded more than this process."""
        return any(
            other.offset > self.position(outlet).offset
            or (other.offset == self.position(outlet).offset and other.retry != self.position(outlet).retry)
            for outlet, other in positions.items()
        )
