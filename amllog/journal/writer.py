"""Append lines to the segments of this process, within the size limit of the directory.

A line is appended with one `write` in the caller's thread. Before each write, a quick check shows that the descriptor
still belongs to the segment, and that the file has the size that it had after the last write. If not, the line goes to
a new segment, in the fallback directory if necessary.

The limit is used in steps. At the end of a step, the directory is measured, because other processes write to it as
well. If it is full, the oldest settled segments are deleted. If that is not enough, new records are refused and
counted. A reserve is kept for exceptions and for the record of how the step ended.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog.journal.damage import damage_of
from amllog.journal.directory import MAX_SEGMENT_BYTES, create_segment
from amllog.journal.disk_usage import Known, delete_settled, is_fully_settled, own_bytes
from amllog.journal.lock import file_node
from amllog.journal.new_segment import NoSegment, Place, create_in_first
from amllog.journal.refused_counts import RefusedCounts
from amllog.journal.segment import Segment
from amllog.process.interrupts import is_from_signal, suppress
from amllog.process.released_locks import releasing
from amllog.record.envelope import instrumentation_key, is_exception_or_request

SEGMENT_BYTES = 64 * 1024 * 1024  # the maximum size of a segment
PARTS = 8  # a segment uses at most this part of the limit
STEPS = 64  # in which the limit is used
MIN_STEP_BYTES = 64 * 1024
RESERVE_BYTES = 1024 * 1024  # at most a sixteenth of the limit
_FULL = "journal is full (journal_max_bytes)"


class Journal:
    """The segments of this process: the current one, and earlier ones that may not be settled yet."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        node: str,
        outlets: Sequence[str] = (),
        notice: Callable[[str], object] = lambda text: None,
        fallback: Sequence[Place] = (),
    ) -> None:
        """`notice` gets a sentence when the journal continues in a new file or in `fallback`. Raises NoSegment."""
        self.directory = directory
        self.segments: list[Segment] = []
        self._unwritten = RefusedCounts()
        self._outlets = tuple(outlets)
        self._notice = notice
        self._fallback = fallback
        self.max_bytes = max_bytes
        self._reserve = min(RESERVE_BYTES, max_bytes // (2 * PARTS))
        self._limit = max_bytes - self._reserve
        # A part of the limit, because only earlier segments can be deleted.
        self._file_bytes = min(SEGMENT_BYTES, max_bytes // PARTS)
        self._step = min(self._file_bytes, max(MIN_STEP_BYTES, max_bytes // STEPS))
        self._lock = threading.RLock()  # re-entrant: a signal handler may log while space is being freed
        self._notified: set[str] = set()  # kinds of damage
        self._next_check = 0.0
        self._space_end = 0
        self._closed = False
        self._former: tuple[bytes, Segment] | None = None  # the previous key, and the segment of its lines
        self.node = file_node(node)
        self._known: Known = {}
        self._start(self.new_file())

    @property
    def unwritten(self) -> Counter[str]:
        """The number of lines that could not be written, by reason."""
        return self._unwritten.counts()

    @property
    def outlets(self) -> tuple[str, ...]:
        """The outlets that must have settled a segment before it is deleted."""
        return self._outlets

    def retain_for(self, outlets: Sequence[str]) -> None:
        """Keep each segment until these outlets have settled it."""
        self._outlets = tuple(outlets)
        if self._outlets:
            for segment in [one for one in self.segments if one.is_locked]:  # the others are deleted
                segment.checkpoint.reserve(self._outlets[0])

    def append(self, line: bytes, tries: int = 3) -> bool:
        """Append a line. True: the operating system has it. False: it is counted in `unwritten`.

        Raises NoSegment if the file was lost and no other one can be created now.
        """
        segment, former = self._segment, self._former
        if former is not None and instrumentation_key(line) == former[0]:
            segment = former[1]  # another thread has made the line before the key changed
        try:
            try:
                size = segment.size_to_append()
            except (OSError, ValueError) as error:  # ValueError: the file is closed, its descriptor is -1
                if is_from_signal(error):
                    raise
                size = -1
            if size < 0:
                segment = self._intact(segment)
                size = segment.size
            if size + len(line) > self._space_end and segment is self._segment:
                if not self._make_space(line):
                    self._unwritten.add(_FULL)
                    return False
                segment = self._segment
                size = segment.size
            data = b"\n" + line if segment.torn else line
            written = os.write(segment.fd, data)
        except OSError as error:
            if isinstance(error, NoSegment) or is_from_signal(error):
                raise
            if error.errno == errno.EBADF and tries > 1:  # another thread has closed the descriptor just now
                return self.append(line, tries - 1)
            self._unwritten.add(f"journal: {errno.errorcode.get(error.errno or 0, 'OSError')}")
            return False
        if written < len(data):  # the disk accepted only a part: the next write ends this line first
            segment.torn = True
            segment.known_bytes = size + written
            self._unwritten.add("journal: ENOSPC")
            return False
        segment.torn = False
        segment.known_bytes = size + written
        segment.last_line = data
        next(segment.written)
        return True

    @releasing("_lock")
    def rotate(self, former: str = "") -> None:
        """Start a new segment, because the key changes from `former`, and a segment has one key."""
        with self._lock:
            if self._segment.size:
                # Before other threads see the new segment.
                self._former = (former.encode(), self._segment) if former else None
                self._start(self.new_file())

    def replace(self, segment: Segment, size: int) -> None:
        """Start a new segment, so that this one can be deleted. Do nothing if its size has changed."""
        with suppress(OSError):
            if size and segment is self._segment and segment.size == size:
                self._start(create_segment(self.directory, self.node))

    def is_own(self, path: Path) -> bool:
        """Return whether the segment at this path is one of this journal."""
        return any(segment.path == path and segment.is_locked for segment in self.segments)

    def new_file(self) -> Segment:
        """Create a segment, in the fallback directory if necessary. Raises NoSegment."""
        segment = create_in_first([lambda: self.directory, *self._fallback], self.node, self._notice)
        segment.mark()
        return segment

    def notify_once(self, damage: str, segment: Segment) -> None:
        """Give a notice of each kind of damage once."""
        kind = damage.replace(str(segment.path), "")
        if kind not in self._notified:
            self._notified.add(kind)
            self._notice(damage)

    def close(self) -> None:
        """Close all segments. Those that are not settled are orphans then."""
        self._closed, self._former = True, None
        for segment in self.segments:
            segment.close()

    def _start(self, segment: Segment) -> None:
        """Write to this new segment from now on."""
        segment.mark()
        if self._outlets:
            segment.checkpoint.reserve(self._outlets[0])
        self.directory = segment.path.parent
        self._space_end = min(self._step, self._limit - own_bytes(self.directory, self._known))
        self._segment = segment
        self.segments.append(segment)

    @releasing("_lock")
    def _intact(self, segment: Segment) -> Segment:
        """Return the segment to write to, after the quick check of this one has failed. Raises NoSegment."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the journal is closed")
            damage = damage_of(segment)
            if not damage:
                return segment
            if segment is self._segment:  # otherwise another thread was first, or the key has changed
                self._start(self.new_file())
                segment.write_last_again()
                # A notice about a displaced segment was given, and it may have another path now.
                if not segment.displaced:
                    self.notify_once(damage, segment)
            return self._segment

    @releasing("_lock")
    def _make_space(self, line: bytes) -> bool:
        """Make space, if necessary in a new segment or by deleting settled segments. Raises OSError."""
        needed = len(line)
        with self._lock:
            if self._segment.size + needed <= self._space_end:
                return True  # another thread has made space
            began = time.monotonic()
            if began < self._next_check:
                return self._use_reserve(line)
            used = own_bytes(self.directory, self._known)
            if used + needed > self._limit:
                if is_fully_settled(self._segment, self._outlets):
                    self.replace(self._segment, self._segment.size)
                excess = used + needed - self._limit
                used -= delete_settled(self.directory, excess, self.segments, self.node, self._outlets)
            if used + needed > self._limit:
                # Measuring thousands of files takes a while, in the caller's thread.
                self._next_check = time.monotonic() + max(1.0, 50 * (time.monotonic() - began))
                return self._use_reserve(line)
            size = self._segment.size
            if size and size + needed > self._file_bytes:
                self._start_or_stay(needed)
                self._space_end = max(self._space_end, needed)
            else:
                step = min(self._step, self._file_bytes - size, self._limit - used)
                self._space_end = size + max(needed, step)
            return True

    def _start_or_stay(self, needed: int) -> None:
        """Start a new segment. If that is no longer possible, continue with the current one."""
        try:
            self._start(create_segment(self.directory, self.node))
        except OSError as error:
            # Readers do not accept a larger file.
            is_full = self._segment.size + needed > MAX_SEGMENT_BYTES
            if is_full or error.errno in (errno.ENOSPC, errno.EDQUOT) or is_from_signal(error):
                raise
            self._space_end = self._segment.size + max(needed, self._file_bytes)

    def recheck_space(self) -> None:
        """Measure the directory again with the next record, because records were delivered."""
        self._next_check = 0.0

    def _use_reserve(self, line: bytes) -> bool:
        """Use the reserve of a full journal for an important line. Return whether there is space now."""
        if not is_exception_or_request(line) or len(line) > self._reserve:
            return False
        self._reserve -= len(line)
        self._space_end = self._segment.size + len(line)
        return True
