"""Capture the records of all stdlib loggers, each exactly once.

A handler on the root logger is not enough. Records of loggers with `propagate = False` do not reach it, `dictConfig` of
other libraries removes it, and `importlib.reload(logging)` makes a new root logger and new classes. Therefore,
`Logger.callHandlers` is hooked in each generation of logging. The hook takes these steps:

1. It adds our handler again if it was removed, and reports the other handlers to `on_handler`.
2. It passes the record to our handler first, because others may change the record or send it away. A record that no
   handler accepts was silenced on purpose and is not taken.
3. It calls the original `callHandlers`, which calls all handlers. If ours is reached, it calls `take` again.

If our handler is the only one, steps 1 and 2 are skipped. `take` records a record once, because `_Dispatch` has the
record that the thread has taken. A handler may also bring a record back later, for example a QueueListener or a log
server. These are recognized by content (`returned_records` in this process, `other_journals` for others). A record that
a console handler shows is not repeated on the driver log. The records of amllog's threads, and those of transport
libraries below WARNING, are never taken. `basicConfig` is hooked as well, because it does nothing if the root logger
has a handler. `remove()` undoes all hooks and level changes.
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

# The beginning of the names of our threads.
THREADS = "amllog "

# Of the process, because records may be on their way back during a second setup().
_RETURNABLE = ReturnableRecords()
_OTHER_JOURNALS = OtherJournals()


class _Dispatch:
    """The record that a thread is dispatching: the handlers that it reaches, and whether ours has taken it."""

    __slots__ = ("entry", "handlers", "return_path", "taken")

    def __init__(self) -> None:
        # How handlers may bring the record back.
        self.return_path = 0
        self.entry: logging.LogRecord | None = None
        self.handlers: tuple[logging.Handler, ...] = ()
        self.taken: logging.LogRecord | None = None


class _Threads(threading.local):
    """The dispatch of each thread, in one object because each access to a thread's data is slow."""

    def __init__(self) -> None:
        self.dispatch = _Dispatch()


class LoggingCapture:
    """Capture all loggers of this process, also those made before logging was reloaded."""

    def __init__(self, recorder: Recorder, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a record reaches."""
        self._emitter, self._messages = recorder.emitter, recorder.messages
        self._on_handler = on_handler
        self._hooks = Hooks()
        self._dispatchers: list[Hook] = []
        # The root loggers that have our handler, and the threshold for which their levels were lowered.
        self._roots: list[logging.Logger] = []
        self._lowered_to = logging.NOTSET
        # Former handlers of amllog that the root loggers may still have.
        self._former: list[logging.Handler] = []
        self._threads = _Threads()
        self._process = os.getpid()
        self.handler: logging.Handler | None = None

    def install(self, handler: logging.Handler) -> None:
        """Begin to capture, or continue with another handler. `handler` passes records to `take`.

        The hooks stay in place, because other threads may log meanwhile.
        """
        if self.handler is not None and not (
            self._dispatchers and all(hook.is_on_top for hook in self._dispatchers)
        ):
            self.remove()  # another library has put hooks over ours: ours go on top again
        if self.handler is not None and self.handler is not handler:
            self._former.append(self.handler)
        self.handler = handler
        if not self._roots:
            self._hooks.put(AfterReload("logging", lambda: logging_lock.call_releasing(self._hook_all)))
            self._hook_all()
        else:
            for root in self._roots:
                root.addHandler(handler)
                # A level that the script has set since stays, until setup() needs other records.
                if is_lowered(root) or self._lowered_to != self._emitter.threshold:
                    lower(root, self._emitter.threshold)
        self._lowered_to = self._emitter.threshold
        self._remove_former()

    def remove(self) -> None:
        """Remove the handler and all hooks, and restore the levels."""
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
        """Record a record that our handler got, unless it was recorded before."""
        level, thread = entry.levelno, entry.threadName
        state = self._threads.dispatch
        if level < self._emitter.threshold or (thread is not None and thread.startswith(THREADS)):
            return
        # `startswith` excludes almost all names fast. A module of the script may be called `requests_client`.
        if level < logging.WARNING and str(entry.name).startswith(QUIET) and is_transport(entry.name):
            return
        if state.taken is entry:  # with `library.handlers = root.handlers`, it reaches our handler twice
            return
        if state.entry is not entry and self._is_recorded(entry):  # a QueueListener that calls our handler
            return
        state.taken = entry
        message = self._messages.stdlib_record(entry, shown=bool(state.handlers) and self._is_shown(entry))
        if state.return_path and state.entry is entry and message is not None:
            sent = message if type(entry.msg) is str else sent_message(entry)
            _RETURNABLE.add_record(entry, sent, state.return_path)

    def _hook_all(self) -> None:
        """Add the handler and the hooks to all generations of logging that do not have them."""
        assert self.handler is not None
        for kind in logger_classes():
            root = kind.root
            if any(root is known for known in self._roots):
                continue
            self._roots.append(root)
            lower(root, self._emitter.threshold)
            root.addHandler(self.handler)
            dispatcher = Hook(kind, "callHandlers", self._dispatch_over(kind.callHandlers))
            self._dispatchers.append(dispatcher)
            self._hooks.put(dispatcher)
        self._hooks.put(Hook(logging, "basicConfig", self._configure_over(logging.basicConfig)))

    def _dispatch_over(self, dispatch: Callable[..., None]) -> Callable[..., None]:
        unhooked = dispatch.__module__ == "logging"  # not the hook of another library

        def dispatch_with_ours(logger: logging.Logger, entry: logging.LogRecord) -> None:
            """Pass the record to our handler wherever it ends, then continue as without amllog."""
            ours = self.handler
            if ours is None:  # after remove(), if a hook of another library still calls this one
                return dispatch(logger, entry)
            state = self._threads.dispatch
            usual = state.taken is None and not _RETURNABLE.recent and entry.process == self._process
            if usual and is_only_handler(ours, logger):
                state.entry = entry
                try:
                    if not unhooked:
                        dispatch(logger, entry)
                    elif entry.levelno >= ours.level:
                        ours.handle(entry)
                    return None
                finally:
                    state.entry = state.taken = None
            self._process = os.getpid()  # in a forked child another one
            if ours not in logger.root.handlers:  # a logging configuration has removed it
                logging_lock.call_releasing(logger.root.addHandler, ours)
            reached = handlers_of(logger)
            for handler in reached:
                if handler is not ours:
                    self._on_handler(handler)
            if self.handler is not ours:  # another thread has called setup(): once more, with the new handler
                return logger.callHandlers(entry)
            before = state.entry, state.handlers, state.taken, state.return_path
            is_new = is_log_call()
            recorded = not is_new and self._is_recorded(entry)
            state.entry, state.handlers, state.taken = entry, reached, entry if recorded else None
            path = return_path(reached, ours)
            state.return_path = path if is_new or not path else MADE
            try:
                if not recorded:
                    self._take_first(entry, reached, ours)
                dispatch(logger, entry)
            finally:
                state.entry, state.handlers, state.taken, state.return_path = before

        return dispatch_with_ours

    def _take_first(
        self, entry: logging.LogRecord, reached: tuple[logging.Handler, ...], ours: logging.Handler
    ) -> None:
        """Pass the record to our handler before another one changes it or sends it away."""
        if entry.levelno < ours.level:
            return
        # A filter on our handler may count records. It is called once, when the record reaches the handler.
        if ours in reached and ours.filters:
            path = self._threads.dispatch.return_path
            if path:  # the record may come back before that
                _RETURNABLE.add_record(entry, sent_message(entry), path)
        elif has_receiver(entry, reached):
            ours.handle(entry)

    def _is_recorded(self, entry: logging.LogRecord) -> bool:
        """Return whether this process or another one of the run has recorded the record already."""
        if entry in _RETURNABLE:
            return True
        if entry.process in (None, os.getpid()):
            return False
        return _OTHER_JOURNALS.contains(
            self._emitter.directory, entry, self._emitter.redactor.mask_and_truncate
        )

    def _configure_over(self, configure: Callable[..., None]) -> Callable[..., None]:
        def configure_beside_ours(**options: Any) -> None:
            """Call basicConfig without our handler, because it does nothing if the root logger has a handler."""
            logging_lock.call_locked(self._configure, configure, options)

        return configure_beside_ours

    def _configure(self, configure: Callable[..., None], options: dict[str, Any]) -> None:
        """Call basicConfig without our handler, with the lock held. Otherwise, other threads would put it back."""
        ours, root = self.handler, logging.getLogger()
        if ours is not None:
            root.removeHandler(ours)
        try:
            configure(**options)
        finally:
            if ours is not None:
                root.addHandler(ours)
                lower(root, self._emitter.threshold)

    def _is_shown(self, entry: logging.LogRecord) -> bool:
        """Return whether another handler writes this record to stdout or stderr. Both are the driver log."""
        for handler in self._threads.dispatch.handlers:
            if handler is self.handler or entry.levelno < handler.level or not is_console(handler):
                continue
            if not handler.filters or handler.filter(entry):
                return True
        return False
