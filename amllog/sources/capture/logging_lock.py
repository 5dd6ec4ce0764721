"""Keep the lock and the handler list of stdlib logging intact when a signal handler interrupts a change.

Until Python 3.13, logging acquires its lock before the `try` whose `finally` releases it. An exception in between
leaves the lock acquired. Then no other thread can log.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from amllog.process import interrupts, released_locks

T = TypeVar("T")


def call_releasing(work: Callable[..., T], *arguments: object) -> T:
    """Call a function that calls functions of logging. If it raises, release the lock that they left acquired."""
    lock: Any = getattr(logging, "_lock", None)
    before = released_locks.depth(lock)
    try:
        return work(*arguments)
    except BaseException:
        interrupts.finish(lambda: _restore(lock, before))
        raise


def call_locked(work: Callable[..., T], *arguments: object) -> T:
    """Call a function while no other thread can add or remove handlers. Release the lock if it raises."""
    lock: Any = getattr(logging, "_lock", None) or contextlib.nullcontext()

    def call() -> T:
        with lock:
            return work(*arguments)

    return call_releasing(call)


def unlist_handlers() -> None:
    """Remove our handlers from the list of those that logging closes at the end of the process.

    When a listed handler is destroyed, Python calls logging from the garbage collection and discards exceptions.
    """
    listed: list[Any] = getattr(logging, "_handlerList", [])
    for reference in reversed(listed[:]):
        if type(reference()).__module__.startswith("amllog."):
            listed.remove(reference)


def _restore(lock: Any, before: int) -> None:
    unlist_handlers()  # also one whose constructor was interrupted
    released_locks.restore(lock, before)
