"""Notices the end of the process, and a signal that ends it.

In: callbacks. Out: their calls, once each; signals that the script handles itself are left to it. A forked child has
no SIGTERM handler of ours once its fork hooks have run; signals that come before are delivered after them.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import util
from types import FrameType

from amllog.process import interrupts


class ProcessEvents:
    """Calls back at exit and at SIGTERM."""

    def __init__(
        self, at_exit: Callable[[], object], at_term: Callable[[], object], go_on: Callable[[], object] = int
    ) -> None:
        """`go_on` is called where the process lives on after SIGTERM."""
        self._at_exit, self._at_term, self._go_on = at_exit, at_term, go_on
        self._pid = os.getpid()
        self._watched = False
        atexit.register(at_exit)
        self._watch_workers()

    def _watch_workers(self) -> None:
        """multiprocessing ends its children without atexit: they call its own finalizers instead.

        Those are cleared when a child begins, before its `register_after_fork` callbacks, also where it is spawned.
        """
        util.register_after_fork(self, ProcessEvents._in_worker)
        if multiprocessing.parent_process() is not None:
            self._in_worker()

    def _in_worker(self) -> None:
        util.Finalize(None, self._at_exit, exitpriority=0)

    def watch_sigterm(self) -> None:
        """Ask for a call at SIGTERM, which Azure ML sends to a job that is cancelled or preempted.

        Only where nobody else handles it, and only from the main thread, as Python has it. Not in a worker, and so
        not in a forked child: whoever terminates those waits for their end, and a handler in Python may never run
        (docs/decisions/0013).
        """
        forked = os.getpid() != self._pid
        if self._watched or forked or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)
        self._watched = signal.getsignal(signal.SIGTERM) == self._terminated

    def unwatch_sigterm(self) -> None:
        """Take the handler back, unless the script has put its own meanwhile."""
        if self._watched and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._watched = False

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        try:
            if os.getpid() == self._pid:  # else a child that was forked in C
                self._at_term()
        finally:
            interrupts.finish(lambda: self._end_by(number))

    def _end_by(self, number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Linux ignores it for the first process of a container, whose SIGTERM has no effect without amllog either.
        self._go_on()

    def forked(self) -> None:
        """In a forked child: give SIGTERM back. Python starts a child with its parent's handlers. Safe to repeat."""
        main = threading.current_thread() is threading.main_thread()
        if main and self._watched and signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._watched = False
