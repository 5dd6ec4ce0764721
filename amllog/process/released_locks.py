"""Release our locks when the exception of a signal handler has left them acquired.

Python 3.9 may run a handler after the block of a `with` has ended and before `__exit__` is called. Python 3.14 may run
one after `__enter__` and before the block begins. An exception then leaves the lock acquired, and all other threads
wait for it for ever. The other versions run handlers only after calls, at jumps backwards and at the beginning of
functions, and enter a `with` in one step. There, `with` and a lock in C always release the lock.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from amllog.process import interrupts

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def releasing(name: str) -> Callable[[F], F]:
    """Decorate a method that has a block `with self.<name>`. Only Python 3.9 and 3.14 need it."""

    def decorated(method: F) -> F:
        if sys.version_info[:2] not in ((3, 9), (3, 14)):
            return method

        @functools.wraps(method)
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            lock = getattr(self, name)
            before = lock._is_owned() and depth(lock)  # 0 for most calls
            try:
                return method(self, *arguments, **named)
            except BaseException:
                interrupts.finish(lambda: restore(lock, before))
                raise

        return cast("F", call)

    return decorated


def call_releasing(lock: Any, work: Callable[..., T], *arguments: object) -> T:
    """Call a function that acquires `lock`. If it raises, release the lock as often as it is left acquired."""
    before = depth(lock)
    try:
        return work(*arguments)
    except BaseException:
        interrupts.finish(lambda: restore(lock, before))
        raise


def restore(lock: Any, before: int) -> None:
    """Release a lock until this thread has acquired it as often as before. Safe to repeat."""
    while depth(lock) > before:
        lock.release()


def depth(lock: Any) -> int:
    """Return how often this thread has acquired a re-entrant lock. On all Pythons, only its repr has the number."""
    if lock is None or not lock._is_owned():
        return 0
    count = re.search(r"count=(\d+)", repr(lock))
    return int(count[1]) if count else 0
