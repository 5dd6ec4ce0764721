"""Work that may never come back, in a thread of its own.

In: a callable. Out: its result or its exception, to whoever waits as long as they want to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from amllog.process import interrupts


class BackgroundCall:
    """Work in a thread of its own, which a caller waits for as long as it wants to: nothing can stop a library that
    waits without bound, but nobody has to wait with it."""

    def __init__(self, work: Callable[[], Any], *, or_here: bool = False) -> None:
        """`or_here`: do the work in the caller's thread where no other one can be started. Else raises RuntimeError.

        CPython 3.12.0 and 3.12.1 start no thread once the process ends.
        """
        self._work = work
        self._outcome: list[tuple[bool, Any]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amllog attempt", daemon=True)
        try:
            interrupts.call_blocked(self._thread.start)
        except RuntimeError as error:
            interrupts.pass_on(error)
            if not or_here:
                raise
            self._do()

    @property
    def over(self) -> bool:
        """Whether the work has ended, also because this is a forked child, and the thread its parent's."""
        return bool(self._outcome) or not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Come back when the work has ended, or after `seconds`."""
        if not self.over:
            # Not join(): interrupted by Ctrl-C, that takes the thread for dead before Python 3.13.
            self._ended.wait(seconds)

    def result(self, seconds: float) -> Any:
        """Return the result of the work. Raise its exception, or TimeoutError if it takes more than `seconds`."""
        self.wait(seconds)
        if not self._outcome:
            raise TimeoutError(f"no answer within {seconds:g} s")
        fine, result = self._outcome[0]
        if fine:
            return result
        raise result

    def _run(self) -> None:
        interrupts.leave_to_others()
        self._do()

    def _do(self) -> None:
        try:
            self._outcome.append((True, self._work()))
        except Exception as error:  # handed to whoever asks for the result
            if threading.current_thread() is threading.main_thread():  # where signal handlers run
                interrupts.pass_on(error)
            self._outcome.append((False, error))
        finally:
            self._ended.set()
