"""Call functions before and after each fork, and keep the exceptions of signal handlers.

Python discards exceptions in fork hooks. It also runs signal handlers in them, so that a Ctrl-C at that moment would be
lost. The hooks catch the exception of a handler, complete their work, and raise it in the script's code after the
fork. Each hook is a suspended generator. A handler may run at the first instruction of a function, where no `try` of
that function is active yet. The instruction at which a generator continues is inside its `try`.

Signals are blocked from the first hook to the last one. They arrive after it, in the parent and in the child.
"""

from __future__ import annotations

import functools
import operator
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from typing import NamedTuple

from amllog.process import interrupts


class Forks(NamedTuple):
    """The calls before and after a fork. Each must be safe to repeat, because a signal may interrupt it."""

    before: Callable[[], object]
    in_parent: Callable[[], object]
    in_child: Callable[[], object]


class ForkHooks(threading.local):
    """The hooks of one thread. Python calls `__init__` again in each thread that forks."""

    def __init__(self, forks: Forks) -> None:
        self._forks = forks
        self._mask: set[signal.Signals] | set[int] | None = None  # of the thread, before the fork
        self._caught: list[tuple[int, BaseException]] = []  # with the process that it belongs to
        self.deliver: Callable[[], object] = int  # does nothing
        self.before = self._suspended(self._before)
        self.in_parent = self._suspended(self._in_parent)
        self.in_child = self._suspended(self._in_child)

    def register(self) -> None:
        """Register the hooks with Python. There is no function to remove them."""
        if not hasattr(os, "register_at_fork"):  # Windows
            return
        os.register_at_fork(
            before=_of_this_thread(self, "before"),
            after_in_parent=_of_this_thread(self, "in_parent"),
            after_in_child=_of_this_thread(self, "in_child"),
        )
        deliver = _of_this_thread(self, "deliver")
        os.register_at_fork(after_in_parent=deliver, after_in_child=deliver)

    def _suspended(self, work: Callable[[], None]) -> Callable[[], None]:
        suspended: list[bool] = []
        generator = self._run(work, suspended)
        next(generator)
        suspended.append(True)
        return functools.partial(next, generator, None)

    def _run(self, work: Callable[[], None], suspended: list[bool]) -> Generator[None, None, None]:
        """Call `work` when continued, and repeat it if a signal handler interrupts it."""
        try:
            try:
                yield
                work()
            except GeneratorExit:  # the thread has ended
                return
            except BaseException as error:
                if not suspended:  # the generator was not complete yet, and the caller creates another one
                    raise
                self._keep(error)
                work()
        except BaseException as error:  # a second signal, or one while the generator ends
            if not suspended:
                raise
            if _ends_here(error.__context__):
                interrupts.raise_later(error)
                return
            self._keep(error)
            work()

    def _keep(self, error: BaseException) -> None:
        # Any exception is kept. Python discards the exception of a hook, and not all handlers are recognized by theirs.
        self._caught.append((os.getpid(), error))

    def _before(self) -> None:
        self.before = self._suspended(self._before)  # for the next fork, because each generator runs once
        self.deliver = int
        if self._mask is None:
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # only reads it
        signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.blockable())
        self._forks.before()

    def _in_parent(self) -> None:
        self.in_parent = self._suspended(self._in_parent)
        self._unblock()  # first: threads inherit the mask of the thread that starts them
        self._forks.in_parent()
        self._hand_over()

    def _in_child(self) -> None:
        self.in_child = self._suspended(self._in_child)
        self._forks.in_child()
        self._unblock()
        self._hand_over()

    def _unblock(self) -> None:
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            self._mask = None

    def _hand_over(self) -> None:
        caught, here = self._caught, os.getpid()
        while caught:
            process, error = caught[0]
            if process == here:
                self.deliver = interrupts.raise_after_fork(error)
            del caught[0]


def _ends_here(context: BaseException | None) -> bool:
    """Return whether Python ends the calling generator, and no fork of its thread will continue it."""
    trace = context.__traceback__ if isinstance(context, GeneratorExit) else None
    return trace is not None and trace.tb_frame is sys._getframe(1)


def _of_this_thread(hooks: ForkHooks, name: str) -> Callable[[], object]:
    """Return a callable without instructions of Python's own that calls `name` of the calling thread's hooks."""
    return functools.partial(operator.methodcaller(name), hooks)
