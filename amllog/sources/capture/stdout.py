"""Capture prints: a stdout that also records every complete line."""

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

# `outer`: the outermost Tee that writes in this thread.
_WRITING = threading.local()


class Tee:
    """A stdout wrapper that records every complete line and delegates everything else."""

    def __init__(self, stream: Any, recorder: Recorder) -> None:
        # The driver log writes there, because its lines are records already.
        self.amllog_beneath = stream
        self._stream, self._recorder = stream, recorder
        self._partial = threading.local()

    def write(self, string: str) -> int:
        """Write to the stream and record complete lines."""
        outer = getattr(_WRITING, "outer", None)
        _WRITING.outer = outer or self
        try:
            count: int = self._stream.write(string)
        finally:
            _WRITING.outer = outer
        # The script has put its stream over this one, and setup() has put another Tee over that. If `outer` is this
        # one, a signal handler prints.
        if outer is not None and outer is not self:
            return count
        *lines, rest = (getattr(self._partial, "line", "") + string).split("\n")
        self._partial.line = rest[-100_000:]
        for line in lines:
            if self._is_in_private_key(line) or self._recorder.emitter.driver_log.is_writing(line):
                continue
            if line.strip() and not _is_called_by_logging(sys._getframe(1)):
                self._recorder.messages.captured_line(
                    logging.INFO, "print", line, log_call.frame_site(sys._getframe(1))
                )
        return count

    def _is_in_private_key(self, line: str) -> bool:
        """Return whether the line is inside a private key. A single line has no form that would be masked."""
        began, self._partial.in_key = getattr(self._partial, "in_key", False), False
        if _KEY_ENDS.search(line):
            return began
        self._partial.in_key = began or _KEY_BEGINS.search(line) is not None
        return began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_called_by_logging(frame: FrameType | None) -> bool:
    """Return whether a logging handler writes here. Its line is a record already."""
    for _ in range(20):
        if frame is None:
            return False
        if frame.f_code.co_name == "callHandlers":
            return True
        frame = frame.f_back
    return False
