"""The work that amllog does in each thread, so that records, prints and spans that it causes are recognized.

A credential may log, an HTTP library may print, and the script's stdout may log each line that is written to it. Such
records belong to nobody: they would cause further ones without end.

Each record reads `THREAD.doing`. That is an attribute, because a function call would cost more. Only if it is set,
`causes` looks for the frame of the work. A signal handler or a finalizer may run meanwhile, and its records are the
script's.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType

from amllog.process import other_tracers, signal_origin

SENDING = "sending"  # an export, a call of a credential or of a library for amllog
WRITING = "writing"  # a line of the driver log to an object of the script
PRINTING = "printing"  # a print of the script, through our capture

# The functions that set the first two marks, with their modules.
_WORKING = {
    ("_live", "amllog.process.fork_safe_thread"),
    ("_step_here", "amllog.process.fork_safe_thread"),
    ("_do", "amllog.process.background"),
    ("_write_tracked", "amllog.exporters.driver_log"),
}
_NAMES = {name for name, _ in _WORKING}


class _Thread(threading.local):
    """The work of each thread. `doing` is "" in code of the script."""

    doing = ""
    # Whether the present work has caused a record.
    has_caused = False

    def begin(self, work: str) -> tuple[str, bool]:
        """Begin a work. Return the state before, for `end`."""
        before = self.doing, self.has_caused
        self.doing, self.has_caused = work, False
        return before

    def end(self, before: tuple[str, bool]) -> bool:
        """End a work. Return whether it has caused a record."""
        has_caused = self.has_caused
        self.doing, self.has_caused = before
        return has_caused

    def note(self) -> None:
        """Note that the present work has caused a record."""
        self.has_caused = True

    def forget(self) -> None:
        """Forget a work that an exception of a signal handler has ended before it could be noted."""
        self.doing, self.has_caused = "", False


THREAD = _Thread()


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """Mark the block as amllog's sending, for our captures and for other tracers."""
    before = THREAD.begin(SENDING)
    try:
        with other_tracers.suppressed():
            yield
    finally:
        THREAD.end(before)


def causes() -> bool:
    """Return whether the present work has caused the record that is made now, which then is nobody's.

    A record that a print causes is the script's. It is only noted, so that the print is not a second one.
    """
    if THREAD.doing == PRINTING:
        if not is_interruption(sys._getframe(1)):
            THREAD.note()
        return False
    if not is_within():
        return False
    THREAD.note()
    return True


def is_within() -> bool:
    """Return whether the present code was called by amllog's sending or writing. If that has ended, it is forgotten."""
    codes = signal_origin.codes_of_handlers()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if _interrupts(code, codes):
            return False
        if code.co_name in _NAMES and (code.co_name, frame.f_globals.get("__name__")) in _WORKING:
            return True
        frame = frame.f_back
    THREAD.forget()
    return False


def is_interruption(frame: FrameType | None) -> bool:
    """Return whether a frame was called by a signal handler or a finalizer, which may run at any place."""
    codes = signal_origin.codes_of_handlers()
    while frame is not None:
        if _interrupts(frame.f_code, codes):
            return True
        frame = frame.f_back
    return False


def _interrupts(code: CodeType, codes_of_handlers: list[CodeType]) -> bool:
    return code.co_name == "__del__" or any(code is handler for handler in codes_of_handlers)
