"""Capture the events of structlog with their keys, whatever renders and writes them.

The processors of every bound logger are read through a property of its class, which puts ours among them
(`structlog_taps`). So loggers from before `setup()` are captured as well, and a later `configure()` has its effect.

An event that goes to logging or loguru is recorded there: `find` returns it for its record. A logger of ours gets the
message and the keys instead of what was rendered. Other events are recorded here.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import FrameType
from typing import Any

import structlog
from structlog import contextvars as context_of_calls

from amllog.process.hooks import Hook, Hooks
from amllog.record import log_call, text
from amllog.sources.capture.returned_records import contains_words, sent_message
from amllog.sources.capture.structlog_taps import StructlogEvent, TappedProcessors, first_part
from amllog.sources.logger import Logger
from amllog.sources.recorder import Recorder

_LEVELS = {
    "debug": 10, "info": 20, "msg": 20, "warning": 30, "warn": 30, "error": 40, "err": 40, "exception": 40,
    "failure": 40, "critical": 50, "fatal": 50,
}  # fmt: skip
# Loggers that write nothing.
_OTHERS = ("structlog.testing", "structlog._log_levels")
_LOGURU = "loguru."
# The module of the loggers that print, which has another name before structlog 22.2.
_WRITERS = frozenset(("structlog._output", "structlog._loggers"))
_MAX_FRAMES = 40


class _Threads(threading.local):
    """The last event of each thread that went to another logger."""

    event: StructlogEvent | None = None

    def keep(self, event: StructlogEvent | None) -> None:
        self.event = event


class StructlogEvents:
    """The property over the processors of structlog's loggers, and the events that go to logging."""

    def __init__(self, recorder: Recorder) -> None:
        self._emitter, self._messages, self._writers = recorder.emitter, recorder.messages, recorder.writers
        self.guarded = recorder.emitter.guarded
        self._hooks, self._threads = Hooks(), _Threads()
        self._is_installed = False
        # Whether an event may wait for its record.
        self.is_used = False

    def install(self) -> None:
        """Capture events from now on, also those of loggers from before. It may be called again."""
        if not self._is_installed:
            self._is_installed = True
            self._hooks.put(Hook(structlog.BoundLoggerBase, "_processors", self._property()))
            self._writers.update(_WRITERS)

    def remove(self) -> None:
        """Remove the property."""
        self._hooks.remove()
        self._writers.difference_update(_WRITERS)
        self._is_installed = self.is_used = False

    def _property(self) -> property:
        def read(logger: Any) -> TappedProcessors:
            if "_processors" not in vars(logger):
                raise AttributeError(f"{type(logger).__name__!r} object has no attribute '_processors'")
            return TappedProcessors(vars(logger)["_processors"], self.guarded, self.end)

        def write(logger: Any, processors: Any) -> None:
            is_ours = type(processors) is TappedProcessors
            vars(logger)["_processors"] = processors.processors if is_ours else processors

        return property(read, write, lambda logger: vars(logger).pop("_processors"))

    def end(self, event: StructlogEvent, wrapped: Any, method: str, rendered: Any, caller: FrameType) -> None:
        """Leave a rendered event to logging if it goes there, and record it otherwise."""
        target = wrapped
        while isinstance(target, logging.LoggerAdapter):
            target = target.logger
        module = type(target).__module__
        if module.startswith(_OTHERS):
            return
        if isinstance(target, Logger):
            if target is wrapped and event.values is not None and not target.handlers:
                event.pass_on(_call_of_ours(event, event.values, caller))
            return
        is_taken_there = isinstance(target, logging.Logger) or module.startswith(_LOGURU)
        self.is_used = True
        self._threads.keep(event)
        event.render(first_part(rendered), is_recorded=not is_taken_there)
        if not is_taken_there:
            self._record(event, wrapped, method, caller)

    def _record(self, event: StructlogEvent, wrapped: Any, method: str, caller: FrameType) -> None:
        level = _LEVELS.get(method, logging.INFO)
        if level < self._emitter.threshold:
            return
        frame = _calling_frame(caller)
        name = event.name or getattr(wrapped, "name", None) or frame.f_globals.get("__name__")
        message = event.message if event.values is not None else text.to_text(event.rendered)
        is_shown = _is_console(getattr(wrapped, "_file", None))
        self._messages.foreign_record(
            level, logging.getLevelName(level), text.to_text(name or "structlog"), message, event.values or {},
            event.error, log_call.frame_site(frame), 0.0, shown=is_shown,
        )  # fmt: skip
        event.release()

    def find(self, entry: logging.LogRecord) -> StructlogEvent | None:
        """Return the event that a record of logging was made from, whatever its configuration. None for others."""
        event = self._threads.event
        if event is None or event.values is None:
            return None
        frame = _frame_of_structlog(sys._getframe(1))
        if frame is None:
            self._threads.keep(None)  # logging has not made a record of it
            return None
        is_same = entry.msg is event.rendered
        if event.is_recorded:  # by a logger of the script that passes it on
            is_same = is_same or contains_words(sent_message(entry), event.message)
        if not is_same:
            return None
        event.place(log_call.frame_site(_calling_frame(frame)))
        return event

    def find_in_loguru(self, message: str) -> tuple[StructlogEvent, str] | None:
        """Return the event that a record of loguru was made from, and its logger. None for others."""
        event = self._threads.event
        frame = _frame_of_structlog(sys._getframe(1))
        if event is None or event.values is None or frame is None:
            return None
        if type(event.rendered) is not str or event.rendered != message:
            return None
        calling = _calling_frame(frame)
        event.place(log_call.frame_site(calling))
        return event, event.name or text.to_text(calling.f_globals.get("__name__"))


def _call_of_ours(event: StructlogEvent, values: dict[Any, object], caller: FrameType) -> object:
    """Return the arguments of a call of our logger. `caller` calls the processors, and its caller calls our logger."""
    names = {text.to_text(key): value for key, value in values.items()}
    if event.error is not None:
        names["exc_info"] = event.error
    site, frame, level = _calling_frame(caller), caller.f_back, 1
    while frame is not None and frame is not site:
        frame, level = frame.f_back, level + 1
    return (event.message,), names if frame is None else {**names, "stacklevel": level}


def _calling_frame(frame: FrameType) -> FrameType:
    """Return the first frame outside structlog. Asynchronous methods run in another thread, and keep it."""
    kept = getattr(context_of_calls, "_ASYNC_CALLING_STACK", None)
    current: FrameType = (kept.get(None) if kept is not None else None) or frame
    while current.f_back is not None and _is_of_structlog(current):
        current = current.f_back
    return current


def _frame_of_structlog(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of structlog below which the present call is made."""
    for _ in range(_MAX_FRAMES):
        if frame is None or _is_of_structlog(frame):
            return frame
        frame = frame.f_back
    return None


def _is_of_structlog(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "structlog"


def _is_console(file: Any) -> bool:
    """Return whether a file is stdout or stderr, or its buffer.

    structlog prints to the present `sys.stdout` if a logger has the one from before.
    """
    owners = (sys, *map(sys.modules.get, _WRITERS))
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    streams = [getattr(owner, name, None) for owner in owners for name in names]
    buffers = [getattr(stream, "buffer", None) for stream in streams]
    return file is not None and any(file is stream for stream in (*streams, *buffers))
