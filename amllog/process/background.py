"""Run a call in a daemon thread and wait for it up to a timeout.

Libraries may wait without a limit, and nothing can stop them. The caller of a background call decides how long it
waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from amllog.process import interrupts, own_work


class BackgroundCall:
    """A call that runs in a daemon thread. Its result or its exception is stored for the callers of `result()`."""

    def __init__(self, work: Callable[[], Any], *, or_here: bool = False) -> None:
        """Start the call. Raise RuntimeError if no thread can be started, or with `or_here` run it in this thread.

        CPython 3.12.0 to 3.12.2 start no thread after the main thread has ended (CPython issue 113964).
        """
        self._work = work
        self._outcome: list[tuple[bool, Any]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amllog background call", daemon=True)
        try:
            interrupts.call_blocked(self._thread.start)
        except RuntimeError as error:
            interrupts.pass_on(error)
            if not or_here:
                raise
            self._do()

    @property
    def over(self) -> bool:
        """Return whether the call has ended, or its thread does not exist because this process was forked."""
        return bool(self._outcome) or not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Return when the call has ended, or after `seconds`."""
        if not self.over:
            # Not join(): before Python 3.13, a join that Ctrl-C interrupts takes the thread for dead.
            self._ended.wait(seconds)

    def result(self, seconds: float) -> Any:
        """Return the result of the call. Raise its exception, or TimeoutError if it takes more than `seconds`."""
        self.wait(seconds)
        if not self._outcome:
            raise TimeoutError(f"no answer within {seconds:g} s")
        succeeded, result = self._outcome[0]
        if succeeded:
            return result
        raise result

    def _run(self) -> None:
        interrupts.block_signals()
        self._do()

    def _do(self) -> None:
        try:
            with own_work.sending():
                self._outcome.append((True, self._work()))
        except Exception as error:  # result() raises it
            if threading.current_thread() is threading.main_thread():  # where signal handlers run
                interrupts.pass_on(error)
            self._outcome.append((False, error))
        finally:
            self._ended.set()
