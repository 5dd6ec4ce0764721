"""Recognize exceptions that signal handlers raise inside amllog, and pass them on to the script.

Python runs a signal handler in the main thread, between any two instructions, and therefore also inside amllog. The
exception of the handler (KeyboardInterrupt at Ctrl-C, a timeout of the script at SIGALRM) belongs to the script.
`is_from_signal` distinguishes it from an error of amllog. `finish` completes a change of state before it raises the
exception. `raise_later` is for places where Python discards exceptions, such as fork hooks.
"""

from __future__ import annotations

import _thread
import functools
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from amllog.process.signal_origin import is_from_signal, origin

__all__ = [
    "block_signals", "blockable", "call_blocked", "finish", "is_from_signal", "origin", "pass_on", "raise_after_fork",
    "raise_later", "suppress",
]  # fmt: skip

T = TypeVar("T")
_SOON_SECONDS = 0.001
# Signals that report a fault of the current instruction. If one is blocked, it ends the process without its handler.
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
_REPEATS = 3  # how often `finish` repeats work that signals interrupt


def pass_on(error: BaseException) -> None:
    """Raise the exception of a signal handler if `error` is one or was raised in place of one."""
    interruption = origin(error)
    if interruption is not None:
        raise interruption


class suppress:  # noqa: N801  # the name of the class in contextlib that it replaces
    """A `contextlib.suppress` that does not suppress exceptions of a signal handler."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, self._kinds) and not is_from_signal(error)


def finish(work: Callable[[], T]) -> T:
    """Call `work` until one call completes. Then raise the first exception of a signal handler, if there was one.

    `work` must be safe to repeat. Its other exceptions are raised at once.
    """
    interruptions: list[BaseException] = []
    for _ in range(_REPEATS):
        try:
            result = work()
            break
        except BaseException as error:
            interruption = origin(error)
            if interruption is None:
                raise interruptions[0] if interruptions else error
            interruptions.append(interruption)
    if interruptions:
        raise interruptions[0]
    return result


@functools.cache
def blockable() -> frozenset[int]:
    """Return the signals that may be blocked: all but those that report a fault of the current instruction."""
    return frozenset(
        number for number in signal.valid_signals() if getattr(number, "name", "") not in _FAULTS
    )


def call_blocked(work: Callable[[], object]) -> None:
    """Call `work` with signals blocked in the calling thread. A thread that `work` starts has them blocked too."""
    if not hasattr(signal, "pthread_sigmask"):
        work()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # reads the mask
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, blockable())
        work()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def block_signals() -> None:
    """Block all signals in a thread of amllog, so that only the script's threads receive them.

    Otherwise Python would run a handler in the main thread, even while that thread has blocked signals for a fork.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, blockable())


class _Later:
    """Exceptions that the main thread raises as soon as it is back in the code of the script.

    A handler for SIGINT replaces the script's handler for that time. While the call that discards exceptions still
    runs, another thread causes the next call of the handler. That thread sends a real signal, because only a real
    signal ends a system call that the main thread has entered in the meantime. `interrupt_main` replaces the signal
    where SIGINT is blocked.
    """

    def __init__(self) -> None:
        self._errors: deque[BaseException] = deque()
        # The script's frame and its instruction when the exception was added.
        self._place: FrameType | None = None
        self._instruction = -1
        self._script_handler: object = None

    def add(self, error: BaseException) -> None:
        """Raise `error` in the script's frame, after its current instruction."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("amllog."):
            frame = frame.f_back
        self._place, self._instruction = frame, frame.f_lasti if frame is not None else -1
        if not any(known is error for known in self._errors):
            self._errors.append(error)
        handler = signal.getsignal(signal.SIGINT)
        if handler != self._handle:
            self._script_handler = handler
            signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_inside(frame):
            self.call_soon()
            return
        try:
            signal.signal(signal.SIGINT, self._script_handler)  # type: ignore[arg-type]  # what getsignal() returned
        except BaseException as another:
            interruption = origin(another)
            if interruption is None:
                raise
            self._errors.append(interruption)
            self.call_soon()
            return
        if not self._errors:  # a second call for the same exception
            return
        error, self._place = self._errors.popleft(), None
        if self._errors:
            self.add(self._errors[0])
            self.call_soon()
        raise error

    def call_soon(self) -> None:
        """Cause a call of the handler after a moment. A signal from here would call it within this function."""
        can_send = hasattr(signal, "pthread_kill") and signal.SIGINT not in signal.pthread_sigmask(
            signal.SIG_BLOCK, ()
        )
        _thread.start_new_thread(self._call_handler, (can_send,))

    def _call_handler(self, can_send: bool) -> None:
        block_signals()
        time.sleep(_SOON_SECONDS)
        if can_send and signal.getsignal(signal.SIGINT) == self._handle:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()

    def _is_inside(self, frame: FrameType | None) -> bool:
        """Return whether the instruction that discards exceptions still runs."""
        place = self._place
        if place is None or frame is place or place.f_lasti != self._instruction:
            return False
        while frame is not None and frame is not place:
            frame = frame.f_back
        return frame is place


_LATER = _Later()


def raise_after_fork(error: BaseException) -> Callable[[], object]:
    """Return the function for the last fork hook that raises `error` in the script's code after the fork.

    It is implemented in C, because Python would raise the exception too early at an instruction of a Python function.
    Only the main thread can raise `error` in the script. In others, the returned function raises it at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return functools.partial(_raise, error)
    _LATER.add(origin(error) or error)
    return _thread.interrupt_main


def _raise(error: BaseException) -> None:
    raise error


def raise_later(error: BaseException) -> None:
    """Raise `error` in the script's code after its current instruction.

    It is for exceptions of signal handlers in code whose exceptions Python discards, such as `sys.unraisablehook`.
    `error` is raised at once if no signal handler raised it, and in other threads than the main thread.
    """
    interruption = origin(error)
    if interruption is None or threading.current_thread() is not threading.main_thread():
        raise error
    _LATER.add(interruption)
    _LATER.call_soon()
