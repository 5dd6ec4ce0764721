"""The level, handlers and filters that code sets on our loggers because it expects a `logging.Logger`.

As in logging, the loggers of one name share them, and the loggers below a name inherit its level and its handlers. They
are separate from those of stdlib's logger of the same name. While nothing is set, `LoggerState.log` is `Messages.log`,
so that a call costs nothing more.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from amllog.exporters.driver_log import Line
from amllog.record import log_call
from amllog.sources.messages import Messages

# Keywords of a log call that are not dimensions.
_NOT_VALUES = ("exc_info", "stack_info", "stacklevel", "extra")


class LoggerState:
    """The state of the loggers of one name."""

    __slots__ = ("__weakref__", "_is_used", "_states", "log", "plain")

    def __init__(self, name: str, states: LoggerStates) -> None:
        self._states, self._is_used = states, False
        # It is outside the tree of logging. It keeps handlers and filters, and makes records for them.
        self.plain = logging.Logger(name)  # noqa: LOG001  # getLogger returns that of the tree
        self.log: Callable[..., None] = states.messages.log

    def effective_level(self) -> int:
        """Return the nearest level that was set, on this name or above. 0 if no level was set."""
        if not self._is_used:
            return logging.NOTSET
        return next((state.plain.level for state in self._lineage() if state.plain.level), logging.NOTSET)

    def change(self, change: Callable[[logging.Logger], object]) -> None:
        """Change the state, and take it into account in the calls of all loggers of this name or below."""
        change(self.plain)
        self._states.keep(self)

    def log_passed_on(
        self,
        level: int,
        logger: str,
        event: object,
        args: tuple[object, ...],
        values: dict[str, Any],
        bound: Mapping[str, object],
        frame: FrameType,
    ) -> None:
        """Record a call that logging may have passed on, as for a LoggerAdapter. The call site is outside logging."""
        self.log(level, logger, event, args, values, bound, log_call.caller(frame, 1))

    def handle(self, entry: logging.LogRecord) -> None:
        """Record a record that was made elsewhere, and pass it to the handlers."""
        allowed: Any = not self.plain.disabled and self.plain.filter(entry)
        if not allowed:
            return
        entry = allowed if isinstance(allowed, logging.LogRecord) else entry
        handlers = self._handlers(entry.levelno)
        record = self._states.messages.stdlib_record
        self._record_first(entry, handlers, lambda lines: record(entry, lines=lines))

    def refresh(self) -> None:
        """Choose the direct path of log calls, or the one through level, filters and handlers."""
        self._is_used = any(self._states.is_kept(state) for state in self._lineage())
        self.log = self._log if self._is_used else self._states.messages.log

    def _log(
        self,
        level: int,
        logger: str,
        event: object,
        args: tuple[object, ...],
        values: dict[str, Any],
        bound: Mapping[str, object],
        frame: FrameType,
    ) -> None:
        if self.plain.disabled or level < self.effective_level():
            return
        record, handlers = self._states.messages.log, self._handlers(level)
        if not handlers and not self.plain.filters:
            return record(level, logger, event, args, values, bound, frame)
        entry = self._entry(level, event, args, {**bound, **values}, frame)
        before = entry.__dict__.copy()
        allowed: Any = self.plain.filter(entry)
        if not allowed:
            return None
        entry = allowed if isinstance(allowed, logging.LogRecord) else entry
        after = entry.__dict__
        if after["args"] is not before["args"]:
            args = after["args"] if isinstance(after["args"], tuple) else (after["args"],)
        values = {**values, **{key: after[key] for key in after.keys() - before.keys()}}
        call = (level, logger, entry.msg, args, values, bound, frame)
        self._record_first(entry, handlers, lambda lines: record(*call, lines=lines))
        return None

    def _record_first(
        self,
        entry: logging.LogRecord,
        handlers: list[logging.Handler],
        record: Callable[[list[Line | None] | None], object],
    ) -> None:
        """Record a record, then pass it to the handlers. Write our line if none of them has shown it."""
        views = self._states.views(handlers, entry)
        lines: list[Line | None] = []
        try:
            record(lines if views else None)
            for handler in handlers:
                if id(handler) in views:
                    with views[id(handler)]:
                        views[id(handler)].accept(handler.handle(entry))
                else:
                    handler.handle(entry)
        finally:
            self._states.messages.finish_lines(lines, any(view.is_shown for view in views.values()))

    def _entry(
        self, level: int, event: object, args: tuple[Any, ...], values: Mapping[str, Any], frame: FrameType
    ) -> logging.LogRecord:
        """Return a stdlib record of a call. Its values are attributes, except those with the name of a standard one."""
        error = log_call.find_exception(values["exc_info"]) if values.get("exc_info") else None
        exc_info = (type(error), error, error.__traceback__) if error is not None else None
        site = log_call.caller(frame, values.get("stacklevel"))
        place = (site.f_code.co_filename, site.f_lineno)
        entry = self.plain.makeRecord(
            self.plain.name,
            level,
            *place,
            event,
            args,
            exc_info,
            site.f_code.co_name,
        )
        extra = log_call.extra_dimensions(values.get("extra"))
        for key, value in {**extra, **values}.items():
            if key not in _NOT_VALUES:
                entry.__dict__.setdefault(key, value)
        return entry

    def _lineage(self) -> list[LoggerState]:
        """Return this state and those above it, the nearest first."""
        above = (self._states.get(name) for name in parents(self.plain.name))
        return [self, *(state for state in above if state is not None)]

    def _handlers(self, level: int) -> list[logging.Handler]:
        """Return the handlers of this name and above that accept a level."""
        handlers: list[logging.Handler] = []
        for state in self._lineage():
            handlers += [handler for handler in state.plain.handlers if level >= handler.level]
            if not state.plain.propagate:
                break
        for handler in handlers:
            self._states.on_handler(handler)
        return handlers


class LoggerStates:
    """The states of all names. A state that was never used is forgotten with the last logger of its name."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.on_handler: Callable[[logging.Handler], object] = bool
        self.views: Callable[[Iterable[logging.Handler], logging.LogRecord], dict[int, Any]] = lambda *_: {}
        self._known: weakref.WeakValueDictionary[str, LoggerState] = weakref.WeakValueDictionary()
        self._kept: dict[str, LoggerState] = {}

    def connect(
        self,
        on_handler: Callable[[logging.Handler], object],
        views: Callable[[Iterable[logging.Handler], logging.LogRecord], dict[int, Any]],
    ) -> None:
        """Set the function that gets each handler before a record, and the one that recognizes consoles.

        `views` returns a `View` of each handler that may show the record (`capture/console_views`).
        """
        self.on_handler, self.views = on_handler, views

    def of(self, name: str) -> LoggerState:
        """Return the state of a name."""
        state = self._known.get(name)
        if state is None:
            state = self._known.setdefault(name, LoggerState(name, self))
            state.refresh()
        return state

    def get(self, name: str) -> LoggerState | None:
        """Return the state of a name if code has used it."""
        return self._kept.get(name)

    def is_kept(self, state: LoggerState) -> bool:
        """Return whether code has used a state."""
        return self._kept.get(state.plain.name) is state

    def keep(self, state: LoggerState) -> None:
        """Keep a state that code has used, and refresh the states below it."""
        name = state.plain.name
        if name not in self._kept:
            self._kept[name] = state
            for other in list(self._known.values()):
                if other is state or name in parents(other.plain.name):
                    other.refresh()


def parents(name: str) -> list[str]:
    """Return the names above a name, the nearest first: those of its packages, then `root`."""
    parts = name.split(".")
    above = [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    return above if name == ROOT else [*above, ROOT]


ROOT = "root"
