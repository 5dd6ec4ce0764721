"""How fast the service may be asked: so many at once, so many in a stretch of time, all stores of a process together.

In: calls that take turns. Out: nothing; whoever is too early waits. What the service allows: 5 at once and 200 in 30 s
for each user.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from amllog.process.released_locks import releasing

AT_ONCE, REQUESTS, WINDOW_SECONDS = 5, 200, 30.0


class RateLimit:
    """Turns for requests. `clock` gives seconds, `sleep` passes them."""

    def __init__(
        self,
        at_once: int = AT_ONCE,
        requests: int = REQUESTS,
        window_seconds: float = WINDOW_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._at_once = threading.Semaphore(at_once)
        self._lock = threading.RLock()
        self._begun: deque[float] = deque(maxlen=requests)  # when the latest requests begin or will begin
        self._window_seconds, self._clock, self.sleep = window_seconds, clock, sleep

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One request's turn; waits for it."""
        with self._at_once:
            self.sleep(self._reserved())
            yield

    @releasing("_lock")
    def _reserved(self) -> float:
        """Take the next free moment, and say how many seconds it is away."""
        with self._lock:
            now = self._clock()
            is_full = len(self._begun) == self._begun.maxlen
            begin = max(now, self._begun[0] + self._window_seconds) if is_full else now
            self._begun.append(begin)
            return begin - now


SHARED = RateLimit()  # the service counts by user, so all stores of this process keep one pace
