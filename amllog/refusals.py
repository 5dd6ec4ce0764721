"""Counts records that no journal took and faults of amllog, by reason, over the life of the process."""

from __future__ import annotations

import threading
from collections import Counter


class Refusals:
    """Counts by reason. Threads may add at the same time; a final account subtracts what it has reported."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may log
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count one more record."""
        with self._lock:
            self._counts[reason] += 1

    def counts(self) -> Counter[str]:
        """Return the counts now."""
        with self._lock:
            return self._counts.copy()

    def total(self) -> int:
        """Return the sum of the counts."""
        return sum(self.counts().values())

    def reported(self, counts: Counter[str]) -> None:
        """Subtract what a final account has reported. What was added since is left for the next one."""
        with self._lock:
            self._counts = self._counts - counts

    def forked(self) -> None:
        """In a forked child: start at zero. Another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
        self._counts = Counter()
