"""Count records that no journal accepted, and faults of amllog, by reason, over the life of the process."""

from __future__ import annotations

import threading
from collections import Counter, deque

from amllog.process.released_locks import releasing

TRUNCATED = "journal: another program has truncated or deleted the file"
OVERWRITTEN = "journal: another program has overwritten the record in the file"
_MAX_UNCOUNTED = 1_000


class RefusedCounts:
    """Counts by reason. No addition is lost, although threads and signal handlers may add at the same time.

    An addition is one step of a deque. A signal handler that interrupts the counting adds without counting.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may request the counts
        self._counting = False
        self._new: deque[str] = deque()
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count one more record."""
        self._new.append(reason)
        if len(self._new) > _MAX_UNCOUNTED:
            self.counts()

    @releasing("_lock")
    def counts(self) -> Counter[str]:
        """Return the counts."""
        with self._lock:
            if not self._counting:
                self._counting = True
                try:
                    while self._new:
                        self._counts[self._new[0]] += 1
                        self._new.popleft()
                finally:
                    self._counting = False
            return self._counts.copy()

    def total(self) -> int:
        """Return the sum of the counts."""
        return sum(self.counts().values())

    @releasing("_lock")
    def reported(self, counts: Counter[str]) -> None:
        """Subtract the counts of a final account. Later additions remain for the next account."""
        with self._lock:
            self._counts = self._counts - counts

    def forked(self) -> None:
        """In a forked child: start at zero, with a new lock. Another thread of the parent may have held the old one."""
        self._lock = threading.RLock()
        self._counting = False
        self._new = deque()
        self._counts = Counter()
