"""Capture prints: a stdout that also records every line, as a terminal shows it in the end."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

from amllog.process.own_work import PRINTING, SENDING, THREAD, WRITING, causes, is_within
from amllog.record import log_call
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.line_format import LEVEL_NAMES
from amllog.record.log_call import CallSite
from amllog.sources.capture.printed_lines import LINES
from amllog.sources.recorder import Recorder

# Lines that Ray prints: in a driver a line of amllog in a worker, which has recorded it, and in a worker the names of
# its tasks, for the driver (`LOG_PREFIX_…` in `ray_constants`).
_OF_RAY = LazyPattern(
    r"\([^()]{0,200}\bpid=\d+[^()]{0,200}\) \d{4}-\d\d-\d\dT[\d:.]+Z (?:"
    + "|".join(LEVEL_NAMES)
    + r") +\S+: |:(?:actor_name|job_id|task_name):"
)
# `outer`: the outermost Tee that writes in this thread.
_WRITING = threading.local()


class Tee:
    """A stdout wrapper that records every line and delegates everything else."""

    def __init__(self, stream: Any, recorder: Recorder) -> None:
        # The driver log writes there, because its lines are records already.
        self.amllog_beneath = stream
        self._stream, self._recorder = stream, recorder

    def write(self, string: str) -> int:
        """Write to the stream and record the lines that are complete."""
        outer = getattr(_WRITING, "outer", None)
        _WRITING.outer = outer or self
        before = None if THREAD.doing else THREAD.begin(PRINTING)
        is_logged = False
        try:
            count: int = self._stream.write(string)
        finally:
            if before is not None:
                is_logged = THREAD.end(before)  # the stream has made a record of it
            _WRITING.outer = outer
        # The script has put its stream over this one, and setup() has put another Tee over that. If `outer` is this
        # one, a signal handler prints.
        if not is_logged and (outer is None or outer is self):
            self._record(string, sys._getframe(1))
        return count

    def writelines(self, strings: Iterable[str]) -> None:
        """Write several strings."""
        for string in strings:
            self.write(string)

    def _record(self, string: str, frame: FrameType) -> None:
        if THREAD.doing and self._is_caused():
            return
        if _is_called_by_logging(frame, self._recorder.writers):
            return
        site = log_call.frame_site(frame)
        self._recorder.emitter.guarded(
            lambda: _record(self._recorder, [(line, site) for line in LINES.write(string, site)])
        )

    def _is_caused(self) -> bool:
        """Return whether amllog has caused the text: a line of the driver log, or a print during its sending."""
        if THREAD.doing == SENDING and causes():
            self._recorder.emitter.drop_caused()
            return True
        return THREAD.doing == WRITING and is_within()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def record_unfinished(recorder: Recorder) -> None:
    """Record the lines that are left, at the end of the process or of the session."""
    recorder.emitter.guarded(lambda: _record(recorder, LINES.end()))


def record_finished(recorder: Recorder) -> None:
    """Record the finished lines above a bar that may change again."""
    recorder.emitter.guarded(lambda: _record(recorder, LINES.settle()))


def _record(recorder: Recorder, lines: Iterable[tuple[str, CallSite]]) -> None:
    has_ray = "ray" in sys.modules
    for line, site in lines:
        if line.strip() and not (has_ray and _OF_RAY.match(line)):
            recorder.messages.captured_line(logging.INFO, "print", line, site)


def _is_called_by_logging(frame: FrameType | None, writers: set[str]) -> bool:
    """Return whether a logging handler, or a module of `writers`, writes here. Its line is a record already."""
    for _ in range(20):
        if frame is None:
            return False
        if frame.f_code.co_name == "callHandlers" or frame.f_globals.get("__name__") in writers:
            return True
        frame = frame.f_back
    return False
