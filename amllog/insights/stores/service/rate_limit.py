"""Limit the number of concurrent requests, and of requests in a time window, for all stores of a process together.

The query service accepts 5 queries at once and 200 in 30 s from each user.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from amllog.process.released_locks import releasing

MAX_CONCURRENT, MAX_REQUESTS, WINDOW_SECONDS = 5, 200, 30.0


class RateLimit:
    """Slots for requests. `clock` returns seconds and `sleep` waits for seconds."""

    def __init__(
        self,
        max_concurrent: int = MAX_CONCURRENT,
        max_requests: int = MAX_REQUESTS,
        window_seconds: float = WINDOW_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._concurrent = threading.Semaphore(max_concurrent)
        self._lock = threading.RLock()
        # The times at which the latest requests start, some of them in the future.
        self._starts: deque[float] = deque(maxlen=max_requests)
        self._window_seconds, self._clock, self.sleep = window_seconds, clock, sleep

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for the slot of one request, and hold it for the block."""
        with self._concurrent:
            self.sleep(self._reserve())
            yield

    @releasing("_lock")
    def _reserve(self) -> float:
        """Reserve the next start time, and return the seconds until then."""
        with self._lock:
            now = self._clock()
            is_full = len(self._starts) == self._starts.maxlen
            start = max(now, self._starts[0] + self._window_seconds) if is_full else now
            self._starts.append(start)
            return start - now


SHARED = RateLimit()  # of all stores of this process, because the service counts by user
