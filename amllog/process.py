"""What happens to the process: its end, a signal that ends it, a fork.

In: callbacks. Out: their calls, once each; signals that the script handles itself are left to it. A forked child has
no handler of ours from its first moment on.
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
from typing import NamedTuple


class Forks(NamedTuple):
    """What is called around each fork, in the thread that forks."""

    before: Callable[[], object]
    in_parent: Callable[[], object]
    in_child: Callable[[], object]


class ProcessEvents:
    """Calls back at exit, at SIGTERM and around a fork."""

    def __init__(self, at_exit: Callable[[], object], at_term: Callable[[], object], forks: Forks) -> None:
        self._at_exit = at_exit
        self._at_term = at_term
        self._forks = forks
        self._pid = os.getpid()
        self._watched = False
        self._forking = threading.local()
        atexit.register(at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self._in_parent, after_in_child=self._in_child
            )
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
            self._watched = True

    def unwatch_sigterm(self) -> None:
        """Take the handler back, unless the script has put its own meanwhile."""
        if self._watched and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._watched = False

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        try:
            self._at_term()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _before_fork(self) -> None:
        # A child begins with its parent's handlers, and Python forgets what came before it has begun.
        self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._forks.before()

    def _in_parent(self) -> None:
        try:
            self._forks.in_parent()
        finally:
            self._unmask()

    def _in_child(self) -> None:
        try:
            self._forks.in_child()
            if self._watched and signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._watched = False
        finally:
            self._unmask()

    def _unmask(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)
