"""Prints: a stdout that also makes a record of every whole line.

In: what is written to stdout. Out: the same on the real stream, and records at the gate.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from types import FrameType
from typing import Any

from amllog.record import log_call
from amllog.sources.recorder import Recorder

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")

_WRITING = threading.local()  # `outer`: the outermost stream of ours that writes in this thread


class Tee:
    """stdout that also makes a record of every whole line; everything else is the real stream's."""

    def __init__(self, stream: Any, recorder: Recorder) -> None:
        self.amllog_beneath = stream  # where the driver log writes, whose lines are records already
        self._stream, self._recorder = stream, recorder
        self._started = threading.local()

    def write(self, said: str) -> int:
        """Write through, and keep whole lines."""
        outer = getattr(_WRITING, "outer", None)
        _WRITING.outer = outer or self
        try:
            count: int = self._stream.write(said)
        finally:
            _WRITING.outer = outer
        # The script has put its own stream over this one, and setup() another of these over that.
        if outer is not None and outer is not self:  # else a signal handler prints
            return count
        *whole, rest = (getattr(self._started, "text", "") + said).split("\n")
        self._started.text = rest[-100_000:]
        for line in whole:
            if self._is_of_a_key(line) or self._recorder.emitter.driver_log.is_writing(line):
                continue
            if line.strip() and not _is_a_handlers(sys._getframe(1)):
                self._recorder.messages.captured_line(
                    logging.INFO, "print", line, log_call.frame_site(sys._getframe(1))
                )
        return count

    def _is_of_a_key(self, line: str) -> bool:
        """Whether the line is the inside of a private key, which alone has no shape that would be masked."""
        began, self._started.key = getattr(self._started, "key", False), False
        if _KEY_ENDS.search(line):
            return began
        self._started.key = began or _KEY_BEGINS.search(line) is not None
        return began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_a_handlers(frame: FrameType | None) -> bool:
    """Whether a logging handler writes here: its line is a record already."""
    for _ in range(20):
        if frame is None:
            return False
        if frame.f_code.co_name == "callHandlers":
            return True
        frame = frame.f_back
    return False
