"""Wait in one thread, for a limited time, until another thread or a signal handler ends the wait.

`SimpleQueue.get(timeout=...)` is not used for this. On CPython 3.9 and 3.10 it waits without a limit if the time is
over at its first look at the clock (tests/process/test_wake_up.py). `Lock.acquire` has no such fault.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

from amllog.process import interrupts

T = TypeVar("T")


class WakeUp:
    """A flag that `set()` raises and that the end of a `wait()` lowers again.

    `set()` is one call of C code, so that a signal handler may call it at any instruction of a `wait()`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """End the current or the next `wait()`."""
        with interrupts.suppress(RuntimeError):  # it was set already
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for a call of `set()`, at most `seconds`. Return whether there was one."""
        return self._lock.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX))


class Mailbox(Generic[T]):
    """Items for one reading thread. `put` may be called by signal handlers and by several threads."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._filled = WakeUp()

    def put(self, item: T) -> None:
        """Append an item, and wake the reading thread."""
        self._items.append(item)
        self._filled.set()

    def get(self, seconds: float = threading.TIMEOUT_MAX) -> T | None:
        """Return the oldest item, after a wait of at most `seconds`. Return None if there is none."""
        deadline = time.monotonic() + seconds
        while not self._items:
            if not self._filled.wait(deadline - time.monotonic()) and not self._items:
                return None
        return self._items.popleft()
