"""Delete the segments that all outlets have processed, while their process continues.

If the segment that the journal writes to is processed as well, the journal starts a new one first.
"""

from __future__ import annotations

import threading

from amllog.journal.disk_usage import Known, is_fully_settled, own_bytes
from amllog.journal.writer import MIN_STEP_BYTES, Journal
from amllog.process.released_locks import releasing


class SegmentCleanup:
    """The processed segments of one journal."""

    def __init__(self, journal: Journal, lock: threading.RLock) -> None:
        """`lock`: held while a record is appended."""
        self._journal, self._lock = journal, lock
        self._known: Known = {}

    def remove_settled(self) -> None:
        """Delete them if the files in the directory use more than half of the limit."""
        journal = self._journal
        if own_bytes(journal.directory, self._known) <= journal.max_bytes // 2:
            return
        current = journal.segments[-1]
        size = current.size
        if size > MIN_STEP_BYTES and is_fully_settled(current, journal.outlets):
            self._replace_current(size)
        for segment in journal.segments[:-1]:
            if segment.size and segment.is_locked and is_fully_settled(segment, journal.outlets):
                segment.remove()

    @releasing("_lock")
    def _replace_current(self, size: int) -> None:
        with self._lock:  # no thread appends now
            self._journal.replace(self._journal.segments[-1], size)
