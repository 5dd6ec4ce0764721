"""Capture the records of loguru, with exception, extra, call site and level.

loguru calls its handlers in the order of their ids. Ours comes first, has no id of the script, and takes a record in
its filter, which always answers no. So nothing is formatted for it, it needs no lock, and no handler before it can
change the record, raise or end the process. `logger.remove()` of the script removes every handler but ours.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from amllog.process import interrupts
from amllog.process.hooks import Hook, Hooks
from amllog.process.import_hooks import AfterImport
from amllog.record import log_call, text
from amllog.sources.capture import loguru_consoles
from amllog.sources.capture.crossings import LOGGING, LOGURU, Crossings
from amllog.sources.capture.logging_tree import QUIET, is_transport
from amllog.sources.capture.structlog_events import StructlogEvents
from amllog.sources.recorder import Recorder

MODULE = "loguru"
# The id of our handler. loguru's own ids begin with 0.
OURS = -1
_THREADS = "amllog "
# The module whose handlers write lines.
_WRITER = "loguru._handler"


class Taker:
    """The filter of our handler. In a worker process, a copy of a logger gets the taker of that process."""

    def __init__(self, take: Callable[[Mapping[str, Any]], None], find: Callable[[], Taker]) -> None:
        self._take, self._find = take, find

    def __call__(self, record: Mapping[str, Any]) -> bool:
        self._take(record)
        return False

    def __deepcopy__(self, memo: object) -> Taker:
        return self

    def __reduce__(self) -> tuple[Callable[[], Taker], tuple[()]]:
        return self._find, ()


class LoguruCapture:
    """Our handler in loguru, from the import of loguru on."""

    def __init__(
        self,
        recorder: Recorder,
        crossings: Crossings,
        events: StructlogEvents,
        find_taker: Callable[[], Taker],
    ) -> None:
        """`find_taker` is a function of a module. It returns the taker of the process that calls it."""
        self._events = events
        self._emitter, self._messages, self._crossings = recorder.emitter, recorder.messages, crossings
        self._writers = recorder.writers
        self.taker = Taker(self._take, find_taker)
        self._hooks, self._watch = Hooks(), Hooks()
        self._logger: Any = None
        self._remove_handler: Callable[..., None] | None = None
        # The id of our handler, the level for which it was added.
        self._id, self._level = OURS, logging.NOTSET

    def install(self) -> None:
        """Capture loguru now if it is imported, otherwise from its import on. It may be called again."""
        self._watch.remove()
        self._watch.put(AfterImport(MODULE, lambda: self._emitter.guarded(self._attach)))
        if sys.modules.get(MODULE) is not None:
            self._emitter.guarded(self._attach)

    def remove(self) -> None:
        """Remove our handler and all hooks."""
        self._watch.remove()
        if self._logger is not None:
            self._emitter.guarded(self._remove_ours)
        self._hooks.remove()
        self._crossings.activate(is_active=False)
        self._writers.discard(_WRITER)
        self._logger = self._remove_handler = None

    def shows(self, handler: Any, entry: logging.LogRecord) -> bool:
        """Return whether a handler of logging passes a record on to loguru, which shows it on the driver log."""
        if self._logger is None or not loguru_consoles.forwards(handler.__class__):
            return False
        return loguru_consoles.shows_level(self._other_handlers(), entry.levelno)

    def _attach(self) -> None:
        """Add our handler to the logger of loguru, or again if the level is another one now."""
        logger = importlib.import_module(MODULE).logger  # waits for an import in progress
        if logger is not self._logger:  # a module that is imported again has another one
            self._hooks.remove()
            self._remove_handler = type(logger).remove
            self._hooks.put(Hook(type(logger), "remove", self._remove_over(type(logger).remove)))
            self._logger = logger
        elif self._level == self._emitter.threshold and self._id in logger._core.handlers:
            return
        else:
            self._remove_ours()
        self._level = self._emitter.threshold
        self._crossings.activate(is_active=True)
        self._writers.add(_WRITER)
        self._id = logger.add(
            _discard, level=max(self._level, 0), filter=self.taker, format=_no_format, catch=False,
            backtrace=False, diagnose=False, colorize=False,
        )  # fmt: skip
        core = logger._core
        if isinstance(core.handlers, dict) and hasattr(core, "lock"):
            self._move_first(core)

    def _move_first(self, core: Any) -> None:
        """Move our handler before the others, and return its id to loguru, as if nothing had been added."""
        with core.lock:
            handlers = dict(core.handlers)
            ours = handlers.pop(self._id, None)
            if ours is None:
                return
            Hook(core, "handlers", {OURS: ours, **handlers}).put()
            count = getattr(core, "handlers_count", None)
            if count == self._id + 1:
                Hook(core, "handlers_count", self._id).put()
            elif repr(count) == f"count({self._id + 1})":  # before loguru 0.7
                Hook(core, "handlers_count", itertools.count(self._id)).put()
            self._id = OURS

    def _remove_ours(self) -> None:
        if self._remove_handler is not None and self._id in self._logger._core.handlers:
            self._remove_handler(self._logger, self._id)

    def _remove_over(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def remove(logger: Any, handler_id: Any = None) -> None:
            handlers = logger._core.handlers
            if self._id not in handlers or self._logger is None:
                return original(logger, handler_id)
            if handler_id is not None:
                return None if handler_id == self._id else original(logger, handler_id)
            for known in [known for known in handlers if known != self._id]:
                try:
                    original(logger, known)
                except ValueError as error:
                    interrupts.pass_on(error)
                    if known in logger._core.handlers:  # otherwise, another thread has removed it
                        raise
            return None

        return remove

    def _other_handlers(self) -> list[Any]:
        return [handler for key, handler in self._logger._core.handlers.items() if key != self._id]

    def _take(self, record: Mapping[str, Any]) -> None:
        self._emitter.guarded(lambda: self._record(record))

    def _record(self, record: Mapping[str, Any]) -> None:
        """Record a record, unless it comes from logging or is about our own sending."""
        level, message, error = record["level"], record["message"], record["exception"]
        name = text.to_text(record["name"] or MODULE)
        if self._logger is None or level.no < self._emitter.threshold:
            return
        if record["thread"].name.startswith(_THREADS):
            return
        if level.no < logging.WARNING and name.startswith(QUIET) and is_transport(name):
            return
        if self._crossings.is_copy(LOGGING, message):
            return
        values, site = record["extra"], log_call.line_site(record["file"].path, record["line"])
        cause, words = error.value if error else None, message.rstrip("\n")
        found = self._events.find_in_loguru(message) if self._events.is_used else None
        if found is not None:
            event, name = found
            values, cause = {**values, **(event.values or {})}, cause or event.error
            site, words = event.site or site, event.message
        self._messages.foreign_record(
            level.no, level.name, name, words, values, cause, site, record["time"].timestamp(),
            shown=loguru_consoles.shows(self._other_handlers(), record),
        )  # fmt: skip
        self._crossings.add(LOGURU, message)


def _discard(message: str) -> None:
    """Take the place of a sink. Our handler passes nothing on."""


def _no_format(record: Mapping[str, Any]) -> str:
    """Return the format of our handler, which formats nothing."""
    return ""
