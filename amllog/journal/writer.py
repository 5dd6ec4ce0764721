"""The write-ahead log of this process: append-only files, one line per record.

In: lines, appended with one `write` each, so that a killed process loses none that its calls returned from.
Out: True for a line that the operating system has; files within a limit of bytes. Format: docs/architecture.md.

Before each write, the segment checks that the descriptor still stands for its file and that the file has the size that
it had after the last write. Otherwise the record goes to a new segment, in the fallback directory if need be.
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

SEGMENT_BYTES = 64 * 1024 * 1024
PARTS = 8
STEPS = 64  # in which the limit is used: the directory is measured after each, as others write there
LEAST_STEP_BYTES = 64 * 1024
RESERVE_BYTES = 1024 * 1024  # of a full journal, at most a sixteenth: for exceptions and how the step ended
_FULL = "journal is full (journal_max_bytes)"


class Journal:
    """The files of this process: one that grows, and those before it that may still be read from."""

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
        """`notice` gets a sentence when the journal continues in a new file or in `fallback`. Raises NoFile."""
        self.directory = directory
        self.segments: list[Segment] = []
        self._unwritten = RefusedCounts()
        self._outlets = tuple(outlets)
        self._notice = notice
        self._fallback = fallback
        self.max_bytes = max_bytes
        self._reserve = min(RESERVE_BYTES, max_bytes // (2 * PARTS))
        self._bound = max_bytes - self._reserve
        # Of one file, a part of the limit: only files that are not written to any more can make room.
        self._file_bytes = min(SEGMENT_BYTES, max_bytes // PARTS)
        self._step = min(self._file_bytes, max(LEAST_STEP_BYTES, max_bytes // STEPS))
        self._lock = threading.RLock()  # re-entrant: a signal handler may log in the middle of making room
        self._notified: set[str] = set()  # kinds of damage
        self._look_again = 0.0
        self._room = 0
        self._closed = False
        self._former: tuple[bytes, Segment] | None = None  # the key of before, and the file of its lines
        self.node = file_node(node)
        self._known: Known = {}
        self._use(self.new_file())

    @property
    def unwritten(self) -> Counter[str]:
        """How many lines could not be written, by reason."""
        return self._unwritten.counts()

    @property
    def outlets(self) -> tuple[str, ...]:
        """The outlets whose progress decides when a file may be deleted."""
        return self._outlets

    def retain_for(self, outlets: Sequence[str]) -> None:
        """Keep each file until these outlets have settled it."""
        self._outlets = tuple(outlets)
        if self._outlets:
            for segment in [one for one in self.segments if one.is_locked]:  # the others are deleted
                segment.checkpoint.reserve(self._outlets[0])

    def append(self, line: bytes, tries: int = 3) -> bool:
        """Keep a line; True means that the operating system has it. False: counted in `unwritten`.

        Raises NoFile where the file was lost and there can be no other one at the moment.
        """
        segment, former = self._segment, self._former
        if former is not None and instrumentation_key(line) == former[0]:
            segment = former[1]  # it was on its way in another thread
        try:
            try:
                size = segment.size_to_append()
            except (OSError, ValueError) as error:  # ValueError: the file is closed, and its number -1
                if is_from_signal(error):
                    raise
                size = -1
            if size < 0:
                segment = self._intact(segment)
                size = segment.size
            if size + len(line) > self._room and segment is self._segment:
                if not self._make_room(line):
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
        if written < len(data):  # the disk took only a part: end that line before the next one
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
        """Begin a new file, for records to another key than `former`: a file has one."""
        with self._lock:
            if self._segment.size:
                # Before other threads see the new file.
                self._former = (former.encode(), self._segment) if former else None
                self._use(self.new_file())

    def leave(self, segment: Segment, size: int) -> None:
        """Begin a new file in place of this one, which can be deleted then, unless its size has changed."""
        with suppress(OSError):
            if size and segment is self._segment and segment.size == size:
                self._use(create_segment(self.directory, self.node))

    def is_own(self, path: Path) -> bool:
        """Whether this process writes or delivers the segment at this path as its own."""
        return any(segment.path == path and segment.is_locked for segment in self.segments)

    def new_file(self) -> Segment:
        """A new file, in the fallback directory where that is not possible in the present one. Raises NoFile."""
        segment = create_in_first([lambda: self.directory, *self._fallback], self.node, self._notice)
        segment.mark()
        return segment

    def notify_once(self, damage: str, segment: Segment) -> None:
        """Give notice of a kind of damage once."""
        kind = damage.replace(str(segment.path), "")
        if kind not in self._notified:
            self._notified.add(kind)
            self._notice(damage)

    def close(self) -> None:
        """Close all files; what waits in them is an orphan for the next process."""
        self._closed, self._former = True, None
        for segment in self.segments:
            segment.close()

    def _use(self, segment: Segment) -> None:
        """Write to this new file from now on."""
        segment.mark()
        if self._outlets:
            segment.checkpoint.reserve(self._outlets[0])
        self.directory = segment.path.parent
        self._room = min(self._step, self._bound - own_bytes(self.directory, self._known))
        self._segment = segment
        self.segments.append(segment)

    @releasing("_lock")
    def _intact(self, segment: Segment) -> Segment:
        """The segment to write to, where a file or its descriptor may not be what it was. Raises NoFile."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the journal is closed")
            damage = damage_of(segment)
            if not damage:
                return segment
            if segment is self._segment:  # else another thread was first, or its key waits no longer
                self._use(self.new_file())
                segment.write_last_again()
                # Else the notice was given, and the segment may have another path by now.
                if not segment.displaced:
                    self.notify_once(damage, segment)
            return self._segment

    @releasing("_lock")
    def _make_room(self, line: bytes) -> bool:
        """Make room, if need be in a new segment or by deleting the oldest processed files. Raises OSError."""
        wanted = len(line)
        with self._lock:
            if self._segment.size + wanted <= self._room:
                return True  # another thread made it
            began = time.monotonic()
            if began < self._look_again:
                return self._use_reserve(line)
            used = own_bytes(self.directory, self._known)
            if used + wanted > self._bound:
                if is_fully_settled(self._segment, self._outlets):
                    self.leave(self._segment, self._segment.size)
                excess = used + wanted - self._bound
                used -= delete_settled(self.directory, excess, self.segments, self.node, self._outlets)
            if used + wanted > self._bound:
                # With thousands of files a look takes its time, and it is the caller's.
                self._look_again = time.monotonic() + max(1.0, 50 * (time.monotonic() - began))
                return self._use_reserve(line)
            size = self._segment.size
            if size and size + wanted > self._file_bytes:
                self._open_or_stay(wanted)
                self._room = max(self._room, wanted)
            else:
                step = min(self._step, self._file_bytes - size, self._bound - used)
                self._room = size + max(wanted, step)
            return True

    def _open_or_stay(self, wanted: int) -> None:
        """Begin a new file; where that is not possible any more, go on with the present one."""
        try:
            self._use(create_segment(self.directory, self.node))
        except OSError as error:
            # Readers take no larger file for one of ours.
            full = self._segment.size + wanted > MAX_SEGMENT_BYTES
            if full or error.errno in (errno.ENOSPC, errno.EDQUOT) or is_from_signal(error):
                raise
            self._room = self._segment.size + max(wanted, self._file_bytes)

    def recheck_space(self) -> None:
        """Look again with the next record: something was just delivered."""
        self._look_again = 0.0

    def _use_reserve(self, line: bytes) -> bool:
        """Take from the reserve of a full journal, if it is for such a line."""
        if not is_exception_or_request(line) or len(line) > self._reserve:
            return False
        self._reserve -= len(line)
        self._room = self._segment.size + len(line)
        return True
