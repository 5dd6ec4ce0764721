"""Determine which handlers show a record on the driver log, so that amllog does not repeat its line.

A handler is judged at each record, by the stream that it writes to:

* The `emit` of the standard library writes to the handler's `stream`.
* A MemoryHandler passes the record to its `target`, and a QueueHandler to a QueueListener in this process.
* All others are watched at their first record of each level and logger (`write_probe`). The result is remembered.

In doubt a line is repeated and not hidden.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable
from typing import Any

from amllog.process import interrupts
from amllog.sources.capture import console_streams
from amllog.sources.capture.console_views import View, WatchedView

_STANDARD = ("logging", "logging.handlers")
# Handlers that pass records to other handlers, which do so again.
_MAX_DEPTH = 3
_MAX_KNOWN = 1_000
_PRINTING = frozenset(("print", "stdout", "stderr", "tqdm", "echo", "console"))


class _Known:
    """A handler, with its last stream and the records that it has shown."""

    def __init__(self, handler: logging.Handler) -> None:
        self.handler = weakref.ref(handler)
        methods: list[Any] = [handler.emit, handler.handle]
        self.is_standard = all(getattr(method, "__module__", "") in _STANDARD for method in methods)
        self.is_ours = type(handler).__module__.startswith("amllog.")
        # A reference to the last stream, and whether that is the driver log.
        self._stream: Any = None
        self._is_console: bool | None = False
        # By level and logger, whether the handler has shown a record.
        self.shown: dict[object, bool] = {}

    def is_console(self, stream: Any) -> bool | None:
        """Return whether the stream of the handler is the driver log. It may be another one at each record."""
        if console_streams.is_standard(stream):
            return True
        if self._stream is None or self._stream() is not stream:
            self._is_console = console_streams.is_console(stream)
            self.shown.clear()
            self._stream = None
            with interrupts.suppress(TypeError):  # an object without weak references
                self._stream = weakref.ref(stream)
        return self._is_console


class Consoles:
    """The handlers of this process, and which of them are consoles."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def views(
        self,
        handlers: Iterable[logging.Handler],
        entry: logging.LogRecord,
        ours: logging.Handler | None = None,
    ) -> dict[int, View]:
        """Return the handlers, by identity, that may show a record on the driver log."""
        views = {}
        for handler in handlers:
            if handler is not ours and entry.levelno >= handler.level:
                view = self._view(handler, entry)
                if view is not None:
                    views[id(handler)] = view
        return views

    def _of(self, handler: logging.Handler) -> _Known:
        known = self._known.get(id(handler))
        if known is None or known.handler() is not handler:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[id(handler)] = _Known(handler)
        return known

    def _view(self, handler: Any, entry: logging.LogRecord) -> View | None:
        known = self._of(handler)
        if known.is_ours:
            return None
        if known.is_standard:
            is_console = self._is_standard_console(known, handler, entry)
            if is_console is not None:
                return View() if is_console else None
        key = (entry.levelno, entry.name) if type(entry.name) is str else None
        shown = known.shown.get(key)
        if shown is None:
            return WatchedView(entry, handler, known.shown, key)
        return View() if shown else None

    def _is_standard_console(self, known: _Known, handler: Any, entry: logging.LogRecord) -> bool | None:
        """Return whether a handler of the standard library shows a record. None: that depends on its stream's class."""
        if hasattr(handler, "stream"):
            stream = handler.stream
            if stream is None:  # of a file that is opened at its first record
                return console_streams.is_console_path(getattr(handler, "baseFilename", None))
            return known.is_console(stream)
        return self._is_passed_on(handler, entry, 0)

    def _is_passed_on(self, handler: Any, entry: logging.LogRecord, depth: int) -> bool:
        """Return whether a buffer or a queue passes the record to a console."""
        if hasattr(handler, "target") and hasattr(handler, "buffer"):
            return self._shows_later(handler.target, entry, depth)
        if hasattr(handler, "queue") and hasattr(handler, "enqueue"):
            listener = _listener(handler)
            respects = getattr(listener, "respect_handler_level", False)
            return any(
                self._shows_later(each, entry, depth)
                for each in getattr(listener, "handlers", ())
                if not respects or entry.levelno >= each.level
            )
        return False

    def _shows_later(self, handler: Any, entry: logging.LogRecord, depth: int) -> bool:
        """Return whether a handler that gets the record later will show it. Its filters may not be called before."""
        if not isinstance(handler, logging.Handler) or handler.filters or depth >= _MAX_DEPTH:
            return False
        known = self._of(handler)
        if known.is_standard and not hasattr(handler, "stream"):
            return self._is_passed_on(handler, entry, depth + 1)
        if known.is_standard:
            return bool(self._is_standard_console(known, handler, entry))
        # It cannot be watched, because another thread calls it.
        code = getattr(handler.emit, "__code__", None)
        return code is not None and not _PRINTING.isdisjoint(code.co_names)


def _listener(handler: Any) -> Any:
    """Return the QueueListener in this process that reads the queue of a handler, or None."""
    listener = getattr(handler, "listener", None)  # dictConfig sets it from Python 3.12 on
    if listener is not None:
        return listener
    # Without the lock of `threading.enumerate`, which a signal handler may have interrupted.
    for thread in list(vars(threading)["_active"].values()):
        owner = getattr(getattr(thread, "_target", None), "__self__", None)
        if getattr(owner, "queue", None) is handler.queue:
            return owner
    return None
