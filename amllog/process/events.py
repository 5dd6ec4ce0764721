"""Call back at the exit of the process and at SIGTERM.

Each callback is called once. A signal that the script handles stays with the script. A forked child does not have the
SIGTERM handler of amllog after its fork hooks have run. Signals that arrive before are delivered after the hooks.

Other programs see `signal.SIG_DFL` in the place of our handler. They decide by it whether they install their own one,
chain it, or restore it afterwards (docs/decisions/0038). After they have restored the default, the handler is installed
again by the next record of the main thread, at most once per second.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part of `signal` in C
import atexit
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import util as _util  # noqa: F401  it is loaded, so that its callbacks are registered
from types import FrameType
from typing import Any

from amllog.process import interrupts, sigterm
from amllog.process.workers import family_modules, is_worker

# How soon `rewatch_sigterm` is called again: by the main thread, and by others, which cannot install a handler.
_REWATCH_SECONDS, _SOON_SECONDS = 1.0, 0.1


class _Terminator(int):
    """A handler of SIGTERM that equals `signal.SIG_DFL`, which is 0.

    `signal.getsignal` and the result of `signal.signal` convert each handler that equals a constant to the constant.
    The interpreter compares handlers by identity or by their exact type, and calls this one.
    """

    _on_signal: Callable[[int, FrameType | None], None]

    def __new__(cls, on_signal: Callable[[int, FrameType | None], None]) -> Any:
        handler = super().__new__(cls, signal.SIG_DFL)
        handler._on_signal = on_signal
        return handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._on_signal(number, frame)


class ProcessEvents:
    """The callbacks of one process for its exit and for SIGTERM."""

    def __init__(
        self, at_exit: Callable[[], object], at_term: Callable[[], object], go_on: Callable[[], object] = int
    ) -> None:
        """Register `at_exit`. `go_on` is called if the process continues after SIGTERM."""
        self._at_exit, self._at_term, self._go_on = at_exit, at_term, go_on
        self._pid = os.getpid()
        self._is_wanted = False
        self._handler = _Terminator(self._terminated)
        self._families: set[str] = set()
        atexit.register(at_exit)
        self._watch_workers()
        if is_worker():
            self._in_worker()

    def _watch_workers(self) -> None:
        """Register `at_exit` as a finalizer of multiprocessing, whose children do not call atexit. Safe to repeat.

        multiprocessing clears the finalizers when a forked child begins. It does so before it calls the
        `register_after_fork` callbacks. In a spawned child it does neither.
        """
        for util in family_modules("util"):
            if util.__name__ not in self._families:
                self._families.add(util.__name__)
                util.register_after_fork(self, ProcessEvents._in_worker)

    def _in_worker(self) -> None:
        for util in family_modules("util"):
            util.Finalize(None, self._at_exit, exitpriority=0)

    def watch_sigterm(self) -> None:
        """Install the handler for SIGTERM, which Azure ML sends to a job that is cancelled or preempted.

        It is installed only if there is no other handler, and only from the main thread, as Python requires. Workers
        and other forked children have none. Their parent waits for their end after SIGTERM, and a handler in Python
        may never run there (docs/decisions/0013).
        """
        self._is_wanted = True
        self.rewatch_sigterm()

    def rewatch_sigterm(self) -> float:
        """Install the handler if it is wanted and missing. Return after how many seconds to call this again."""
        if threading.current_thread() is not threading.main_thread():
            return _SOON_SECONDS
        if self._is_wanted and os.getpid() == self._pid and not self._is_on_top() and sigterm.is_default():
            _signal.signal(signal.SIGTERM, self._handler)  # signal.signal would convert it to the constant
        return _REWATCH_SECONDS

    def unwatch_sigterm(self) -> None:
        """Remove the handler, unless the script has replaced it in the meantime."""
        self._is_wanted = False
        if threading.current_thread() is threading.main_thread():
            self._remove()

    def _is_on_top(self) -> bool:
        handler: object = _signal.getsignal(
            signal.SIGTERM
        )  # signal.getsignal would convert it to the constant
        return handler is self._handler

    def _remove(self) -> None:
        if self._is_on_top():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if not self._is_on_top():
            return  # a program that uses `_signal` has called it, and decides what happens
        try:
            if os.getpid() == self._pid:  # otherwise a child that C code has forked
                self._at_term()
        finally:
            interrupts.finish(lambda: self._end_by(number))

    def _end_by(self, number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Linux ignores it in the first process of a container. Without amllog, SIGTERM has no effect there either.
        self._go_on()

    def forked(self) -> None:
        """Remove the handler in a forked child, which begins with its parent's handlers. Safe to repeat."""
        self._watch_workers()  # a family that was loaded after setup()
        self.unwatch_sigterm()
