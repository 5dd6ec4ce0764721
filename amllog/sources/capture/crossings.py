"""Recognize records that a handler or a sink passes from one logging library to another.

loguru's documentation recommends an `InterceptHandler` (logging → loguru) and a `PropagateHandler` (loguru → logging).
The first library has recorded the message already, and the other one makes another record of it. Such a copy is made
below a handler of the first library, and contains the words of a message that this handler got. The thread may be
another one, as with `enqueue=True` or a QueueListener.
"""

from __future__ import annotations

import sys
from collections import deque
from types import FrameType

from amllog.sources.capture.returned_records import Recorded, contains_words

LOGGING, LOGURU = "logging", "loguru"
# The functions of each library that call handlers, by module and name.
_CALLERS = {
    LOGGING: {("logging", "handle"), ("logging", "callHandlers"), ("logging.handlers", "handle")},
    LOGURU: {("loguru._handler", "emit"), ("loguru._handler", "_queued_writer")},
}
_MAX_FRAMES = 40
# Messages of each library that a copy with another format is compared with.
_MAX_RECENT = 20


class Crossings:
    """The messages that each library has passed to its handlers lately."""

    def __init__(self) -> None:
        # There is nothing to recognize while only one library is used.
        self.is_active = False
        self._passed = {LOGGING: Recorded(), LOGURU: Recorded()}
        self._recent: dict[str, deque[str]] = {name: deque(maxlen=_MAX_RECENT) for name in _CALLERS}

    def activate(self, *, is_active: bool) -> None:
        """Begin or end to remember messages."""
        self.is_active = is_active

    def add(self, library: str, message: str) -> None:
        """Remember a message that a library is about to pass to its handlers."""
        self._passed[library].add((), message, longer=False)
        self._recent[library].append(message)

    def is_copy(self, library: str, message: str) -> bool:
        """Return whether a message comes from a handler of `library`, which had it before."""
        if not self._recent[library] or not is_inside(library, sys._getframe(1)):
            return False
        if self._passed[library].has((), message.rstrip("\n")):
            return True
        return any(contains_words(message, recent) for recent in list(self._recent[library]))


def is_inside(library: str, frame: FrameType | None) -> bool:
    """Return whether a function of `library` that calls handlers is on the stack."""
    callers = _CALLERS[library]
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return False
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in callers:
            return True
        frame = frame.f_back
    return False
