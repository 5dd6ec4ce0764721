"""Deletes the files of the journal that every outlet has processed, while its process continues.

In: the journal. Out: a journal directory with fewer files. If the file that the journal writes to is processed as well,
the journal begins a new one first.
"""

from __future__ import annotations

import threading

from amllog.journal.disk_usage import Known, is_fully_settled, own_bytes
from amllog.journal.writer import LEAST_STEP_BYTES, Journal
from amllog.process.released_locks import releasing


class SegmentCleanup:
    """The processed files of one journal."""

    def __init__(self, journal: Journal, lock: threading.RLock) -> None:
        """`lock`: held by who appends a record."""
        self._journal, self._lock = journal, lock
        self._known: Known = {}

    def remove_settled(self) -> None:
        """Delete them if the files in the directory take more than half of the limit."""
        journal = self._journal
        if own_bytes(journal.directory, self._known) <= journal.max_bytes // 2:
            return
        present = journal.segments[-1]
        size = present.size
        if size > LEAST_STEP_BYTES and is_fully_settled(present, journal.outlets):
            self._leave(size)
        for segment in journal.segments[:-1]:
            if segment.size and segment.is_locked and is_fully_settled(segment, journal.outlets):
                segment.remove()

    @releasing("_lock")
    def _leave(self, size: int) -> None:
        with self._lock:  # nobody appends now
            self._journal.leave(self._journal.segments[-1], size)
