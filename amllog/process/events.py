"""Call back at the exit of the process and at SIGTERM.

Each callback is called once. A signal that the script handles stays with the script. A forked child does not have the
SIGTERM handler of amllog after its fork hooks have run. Signals that arrive before are delivered after the hooks.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import util as _util  # noqa: F401  it is loaded, so that its callbacks are registered
from types import FrameType

from amllog.process import interrupts
from amllog.process.workers import family_modules, is_worker


class ProcessEvents:
    """The callbacks of one process for its exit and for SIGTERM."""

    def __init__(
        self, at_exit: Callable[[], object], at_term: Callable[[], object], go_on: Callable[[], object] = int
    ) -> None:
        """Register `at_exit`. `go_on` is called if the process continues after SIGTERM."""
        self._at_exit, self._at_term, self._go_on = at_exit, at_term, go_on
        self._pid = os.getpid()
        self._watched = False
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
        forked = os.getpid() != self._pid
        if self._watched or forked or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)
        self._watched = signal.getsignal(signal.SIGTERM) == self._terminated

    def unwatch_sigterm(self) -> None:
        """Remove the handler, unless the script has replaced it in the meantime."""
        if self._watched and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._watched = False

    def _terminated(self, number: int, frame: FrameType | None) -> None:
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
        main = threading.current_thread() is threading.main_thread()
        if main and self._watched and signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._watched = False
