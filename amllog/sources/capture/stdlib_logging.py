"""Python's own `logging`, as a session hears it: every logger's records, once, whatever is done to its configuration.

In: a handler, which is put on the root logger. Out: the records that somebody hears, at the gate; each with whether a
console handler shows it already.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from amllog.process.hooks import AfterReload, Hook, Hooks, is_lowered, lower, restore
from amllog.sources.capture import logging_lock
from amllog.sources.capture.logging_tree import (
    QUIET,
    handlers_of,
    has_receiver,
    is_console,
    is_log_call,
    is_only_handler,
    is_transport,
    logger_classes,
)
from amllog.sources.capture.other_journals import OtherJournals
from amllog.sources.capture.returned_records import MADE, ReturnableRecords, return_path, sent_message
from amllog.sources.recorder import Recorder

THREADS = "amllog "  # how the names of our own threads begin, whose records are never taken

_CARRIED, _OTHERS = (
    ReturnableRecords(),
    OtherJournals(),
)  # also of records that were on their way at a second setup()


class _Dispatch:
    """The record that a thread is dispatching: the handlers on its way, and whether ours has taken it."""

    __slots__ = ("entry", "handlers", "return_path", "taken")

    def __init__(self) -> None:
        self.return_path = 0  # how handlers may bring the record back
        self.entry: logging.LogRecord | None = None
        self.handlers: tuple[logging.Handler, ...] = ()
        self.taken: logging.LogRecord | None = None


class _Threads(threading.local):
    """The dispatch of each thread: one slow look at a thread's own for all of its parts."""

    def __init__(self) -> None:
        self.dispatch = _Dispatch()


class LoggingCapture:
    """All loggers of this process, also those made before logging was reloaded."""

    def __init__(self, recorder: Recorder, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a record reaches."""
        self._emitter, self._messages = recorder.emitter, recorder.messages
        self._on_handler = on_handler
        self._hooks = Hooks()
        self._dispatchers: list[Hook] = []  # those of them over `callHandlers`
        self._roots: list[logging.Logger] = []  # that have our handler
        self._lowered_to = logging.NOTSET  # the threshold for which their levels were lowered
        self._former: list[logging.Handler] = []  # handlers of ours that the root loggers may still have
        self._threads = _Threads()
        self._process = os.getpid()
        self.handler: logging.Handler | None = None

    def install(self, handler: logging.Handler) -> None:
        """Begin to hear, or continue with another handler; `handler` hands records to `take`.

        The hooks stay where they are: other threads may log meanwhile.
        """
        if self.handler is not None and not (
            self._dispatchers and all(hook.is_on_top for hook in self._dispatchers)
        ):
            self.remove()  # somebody has put hooks over ours: ours go on top again
        if self.handler is not None and self.handler is not handler:
            self._former.append(self.handler)
        self.handler = handler
        if not self._roots:
            self._hooks.put(AfterReload("logging", lambda: logging_lock.call_releasing(self._hear)))
            self._hear()
        else:
            for root in self._roots:
                root.addHandler(handler)
                # What the script has set since is its will, until setup() asks for other records.
                if is_lowered(root) or self._lowered_to != self._emitter.threshold:
                    lower(root, self._emitter.threshold)
        self._lowered_to = self._emitter.threshold
        self._remove_former()

    def remove(self) -> None:
        """Give everything back."""
        self._hooks.remove()
        self._dispatchers.clear()
        if self.handler is not None:
            self._former.append(self.handler)
        self.handler = None
        self._remove_former()
        while self._roots:
            restore(self._roots[-1])
            self._roots.pop()

    def _remove_former(self) -> None:
        while self._former:
            for root in self._roots:
                root.removeHandler(self._former[-1])
            self._former.pop()

    def take(self, entry: logging.LogRecord) -> None:
        """A record that our handler was given."""
        level, thread = entry.levelno, entry.threadName
        way = self._threads.dispatch
        if level < self._emitter.threshold or (thread is not None and thread.startswith(THREADS)):
            return
        # The first look rules out almost all; a module of the script may be called `requests_client`.
        if level < logging.WARNING and str(entry.name).startswith(QUIET) and is_transport(entry.name):
            return
        if way.taken is entry:  # `library.handlers = root.handlers`: ours is on its way twice
            return
        if way.entry is not entry and self._is_recorded(entry):  # a QueueListener that calls our handler
            return
        way.taken = entry
        message = self._messages.stdlib_record(entry, shown=bool(way.handlers) and self._is_shown(entry))
        if way.return_path and way.entry is entry and message is not None:
            _CARRIED.take(entry, message if type(entry.msg) is str else sent_message(entry), way.return_path)

    def _hear(self) -> None:
        """Put handler and hooks on what has none yet: everything, or what a reload of logging has made."""
        assert self.handler is not None
        for kind in logger_classes():
            root = kind.root
            if any(root is one for one in self._roots):
                continue
            self._roots.append(root)
            lower(root, self._emitter.threshold)
            root.addHandler(self.handler)
            dispatcher = Hook(kind, "callHandlers", self._dispatch_over(kind.callHandlers))
            self._dispatchers.append(dispatcher)
            self._hooks.put(dispatcher)
        self._hooks.put(Hook(logging, "basicConfig", self._configure_over(logging.basicConfig)))

    def _dispatch_over(self, dispatch: Callable[..., None]) -> Callable[..., None]:
        unhooked = dispatch.__module__ == "logging"  # so that we know what it does

        def dispatch_with_ours(logger: logging.Logger, entry: logging.LogRecord) -> None:
            """Offer the record to our handler, wherever it ends and whatever was removed, then go on as ever."""
            own = self.handler
            if own is None:  # after remove(), where another hook over this one calls it still
                return dispatch(logger, entry)
            state = self._threads.dispatch
            usual = state.taken is None and not _CARRIED.recent and entry.process == self._process
            if usual and is_only_handler(own, logger):  # nobody else hears it
                state.entry = entry
                try:
                    if not unhooked:
                        dispatch(logger, entry)
                    elif entry.levelno >= own.level:
                        own.handle(entry)
                    return None
                finally:
                    state.entry = state.taken = None
            self._process = os.getpid()  # in a forked child another one
            if own not in logger.root.handlers:  # somebody's logging configuration has removed it
                logging_lock.call_releasing(logger.root.addHandler, own)
            way = handlers_of(logger)
            for one in way:
                if one is not own:
                    self._on_handler(one)
            if self.handler is not own:  # another thread has called setup(): once more, with the new handler
                return logger.callHandlers(entry)
            before = state.entry, state.handlers, state.taken, state.return_path
            new = is_log_call()
            recorded = not new and self._is_recorded(entry)
            state.entry, state.handlers, state.taken = entry, way, entry if recorded else None
            how = return_path(way, own)
            state.return_path = how if new or not how else MADE
            try:
                if not recorded:
                    self._take_first(entry, way, own)
                dispatch(logger, entry)
            finally:
                state.entry, state.handlers, state.taken, state.return_path = before

        return dispatch_with_ours

    def _take_first(
        self, entry: logging.LogRecord, way: tuple[logging.Handler, ...], own: logging.Handler
    ) -> None:
        """Record the line before another handler changes it or sends it to where it comes back from."""
        if entry.levelno < own.level:
            return
        # A filter on our handler, which may count, is asked once: where the record reaches the handler.
        if own in way and own.filters:
            how = self._threads.dispatch.return_path
            if how:  # it may be back by then
                _CARRIED.take(entry, sent_message(entry), how)
        elif has_receiver(entry, way):
            own.handle(entry)

    def _is_recorded(self, entry: logging.LogRecord) -> bool:
        """Whether this process, or another one of the run, has recorded the line already."""
        if entry in _CARRIED:
            return True
        if entry.process in (None, os.getpid()):
            return False
        return _OTHERS.contains(self._emitter.directory, entry, self._emitter.redactor.mask_and_truncate)

    def _configure_over(self, configure: Callable[..., None]) -> Callable[..., None]:
        def configure_beside_ours(**options: Any) -> None:
            """basicConfig does nothing where the root logger has a handler: the script's own must still work."""
            logging_lock.call_locked(self._configure, configure, options)

        return configure_beside_ours

    def _configure(self, configure: Callable[..., None], options: dict[str, Any]) -> None:
        """Call basicConfig without our handler. Another thread that logs would put it back meanwhile."""
        own, root = self.handler, logging.getLogger()
        if own is not None:
            root.removeHandler(own)
        try:
            configure(**options)
        finally:
            if own is not None:
                root.addHandler(own)
                lower(root, self._emitter.threshold)

    def _is_shown(self, entry: logging.LogRecord) -> bool:
        """Whether another handler puts this record on stdout or stderr, which both are the driver log."""
        for handler in self._threads.dispatch.handlers:
            if handler is self.handler or entry.levelno < handler.level or not is_console(handler):
                continue
            if not handler.filters or handler.filter(entry):
                return True
        return False
