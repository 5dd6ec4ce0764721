"""Exceptions that Python signal handlers raise inside amllog: recognise them, and hand them to the script.

Python runs a signal handler in the main thread, between any two instructions, and therefore also inside amllog.
Whatever the handler raises (KeyboardInterrupt at Ctrl-C, a timeout of the script at SIGALRM) belongs to the script.
`is_from_signal` tells it apart from a fault of ours. `finish` completes a change of state before it raises it.
`raise_later` is for places where Python discards exceptions, such as fork hooks.
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
    "blockable", "call_blocked", "finish", "is_from_signal", "leave_to_others", "origin", "pass_on", "raise_after_fork",
    "raise_later", "suppress",
]  # fmt: skip

T = TypeVar("T")
_SOON_SECONDS = 0.001
# Signals that report a fault in the instruction that runs. A blocked one would end the process without its handler.
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
_REPEATS = 3  # how often `finish` repeats work that signals interrupt


def pass_on(error: BaseException) -> None:
    """Raise the exception of a signal handler that `error` is or stands for, if there is one."""
    interruption = origin(error)
    if interruption is not None:
        raise interruption


class suppress:  # noqa: N801  # the name of the class in contextlib that it stands in for
    """Like `contextlib.suppress`, but exceptions of a signal handler pass."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, self._kinds) and not is_from_signal(error)


def finish(work: Callable[[], T]) -> T:
    """Call `work` until one call completes; then raise the first exception of a signal handler, if there was one.

    `work` must be safe to repeat. Its own exceptions are raised at once.
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
    """Return the signals that may be blocked: all but those that report a fault in the instruction that runs."""
    return frozenset(
        number for number in signal.valid_signals() if getattr(number, "name", "") not in _FAULTS
    )


def call_blocked(work: Callable[[], object]) -> None:
    """Call `work` while the calling thread has signals blocked, and with it a thread that `work` starts."""
    if not hasattr(signal, "pthread_sigmask"):
        work()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # only reads it
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, blockable())
        work()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_others() -> None:
    """In a thread of ours: leave all signals to the script's threads.

    While the main thread has them blocked for a fork, Python would run its handlers for a signal that comes here.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, blockable())


class _Later:
    """Exceptions that the main thread raises as soon as it is back in the code of the script.

    A handler for SIGINT takes the place of the script's for that time. While the call that discards exceptions still
    runs, another thread has it called again. That thread sends a real signal, because only a real one ends the wait of
    a main thread that has entered a system call meanwhile. Where SIGINT is blocked, `interrupt_main` stands in for it.
    """

    def __init__(self) -> None:
        self._errors: deque[BaseException] = deque()
        self._place: FrameType | None = None  # the script's frame, and the instruction that it was at
        self._instruction = -1
        self._script_handler: object = None

    def add(self, error: BaseException) -> None:
        """Raise `error` in the script's frame, after the instruction that it is at."""
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
        """Have the handler called in a moment. From here, Python would call it within this very function."""
        can_send = hasattr(signal, "pthread_kill") and signal.SIGINT not in signal.pthread_sigmask(
            signal.SIG_BLOCK, ()
        )
        _thread.start_new_thread(self._call_handler, (can_send,))

    def _call_handler(self, can_send: bool) -> None:
        leave_to_others()
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

    It has no instructions of Python's own, at which Python would raise the exception too early. Only the main thread
    can raise `error` in the script. In others, the returned function raises it at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return functools.partial(_raise, error)
    _LATER.add(origin(error) or error)
    return _thread.interrupt_main


def _raise(error: BaseException) -> None:
    raise error


def raise_later(error: BaseException) -> None:
    """Raise `error` in the script's code once the present instruction of it is over; only in the main thread.

    For exceptions of signal handlers in code whose exceptions Python discards, such as `sys.unraisablehook`.
    Raises `error` at once if no signal handler raised it.
    """
    interruption = origin(error)
    if interruption is None or threading.current_thread() is not threading.main_thread():
        raise error
    _LATER.add(interruption)
    _LATER.call_soon()
