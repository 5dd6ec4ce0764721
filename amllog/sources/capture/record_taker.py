"""Pass each stdlib record to amllog once, however often it reaches our handler.

`Dispatch` has the record that a thread is dispatching. A handler may also bring a record back later, for example a
QueueListener or a log server. These are recognized by content (`returned_records` in this process, `other_journals` for
others). The records of amllog's threads, and those of transport libraries below WARNING, are never taken.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable

from amllog.exporters.driver_log import Line
from amllog.process import other_tracers, own_work
from amllog.sources.capture.console_views import HookView, View
from amllog.sources.capture.consoles import Consoles
from amllog.sources.capture.crossings import LOGGING, LOGURU, Crossings
from amllog.sources.capture.logging_tree import QUIET, has_receiver, is_transport
from amllog.sources.capture.other_journals import OtherJournals
from amllog.sources.capture.returned_records import MADE, ReturnableRecords, return_path, sent_message
from amllog.sources.capture.structlog_events import StructlogEvents
from amllog.sources.emitter import LOOP
from amllog.sources.recorder import Recorder

# The beginning of the names of our threads.
THREADS = "amllog "

# Of the process, because records may be on their way back during a second setup().
RETURNABLE = ReturnableRecords()
_OTHER_JOURNALS = OtherJournals()


class Dispatch:
    """A record that a thread is dispatching, and what happened to it."""

    __slots__ = (
        "entry", "handlers", "hook_view", "is_log_call", "is_observed", "lines", "outer", "passed", "return_path",
        "taken", "views",
    )  # fmt: skip

    def __init__(
        self,
        entry: logging.LogRecord | None = None,
        handlers: tuple[logging.Handler, ...] = (),
        outer: Dispatch | None = None,
        *,
        return_path: int = 0,
        is_log_call: bool = True,
        is_recorded: bool = False,
    ) -> None:
        """`handlers`: those that the record reaches. `outer`: the dispatch during which this one began.

        `return_path`: how handlers may bring the record back (see `returned_records`).
        """
        self.entry, self.handlers, self.outer, self.return_path = entry, handlers, outer, return_path
        self.is_log_call = is_log_call
        # The record, when it is recorded.
        self.taken = entry if is_recorded else None
        # The result of the filters on our handler, when they were called.
        self.passed: bool | None = None
        # The handlers, by identity, that may show the record on the driver log. Another library's hook may call them.
        self.views: dict[int, View] = {}
        self.hook_view: View | None = None
        self.is_observed = False
        # Our line. It is written at the end if no handler has shown the record.
        self.lines: list[Line | None] = []

    def expect(self, views: dict[int, View]) -> None:
        """Set the handlers that may show the record."""
        self.views = views

    def observe(self) -> dict[int, View]:
        """Return the handlers that may show the record. The caller calls the handlers and not the hook."""
        self.is_observed = True
        return self.views

    def observe_hook(self) -> View:
        """Return the view of all handlers together, for a call of the hook of another library."""
        view = View()
        if self.views and self.entry is not None:
            self.hook_view = view = HookView(self.entry, self.handlers, self.views)
        return view

    @property
    def is_shown(self) -> bool:
        """Return whether a handler has shown the record on the driver log."""
        if self.is_observed or self.hook_view is None:
            return any(view.is_shown for view in self.views.values())
        return self.hook_view.is_shown


class Threads(threading.local):
    """The dispatch of each thread, in one object because each access to a thread's data is slow."""

    def __init__(self) -> None:
        self.dispatch = Dispatch()


class RecordTaker:
    """Take the records that reach our handler."""

    def __init__(self, recorder: Recorder) -> None:
        self.emitter, self._messages = recorder.emitter, recorder.messages
        self.threads = Threads()
        self.consoles = Consoles()
        # Of the records that logging and another library exchange.
        self.crossings = Crossings()
        self.events = StructlogEvents(recorder)
        self.handler: logging.Handler | None = None
        # Returns whether a handler passes a record on to another library, which shows it on the driver log.
        self.shows_elsewhere: Callable[[logging.Handler, logging.LogRecord], bool] = lambda *_: False
        # Of the last dispatch. A forked child has another one.
        self.process = os.getpid()

    def use_other_library(self, shows: Callable[[logging.Handler, logging.LogRecord], bool]) -> None:
        """Set the function for `shows_elsewhere`."""
        self.shows_elsewhere = shows

    def use_handler(self, handler: logging.Handler | None) -> None:
        """Set our handler on the root logger, which passes its records to `take`."""
        self.handler = handler

    def take(self, entry: logging.LogRecord) -> None:
        """Record a record that our handler got, unless it was recorded before."""
        level, thread = entry.levelno, entry.threadName
        state = self.threads.dispatch
        if level < self.emitter.threshold or (thread is not None and thread.startswith(THREADS)):
            return
        # `startswith` excludes almost all names fast. A module of the script may be called `requests_client`.
        if level < logging.WARNING:
            if str(entry.name).startswith(QUIET) and is_transport(entry.name):
                return
            modules = sys.modules  # a call would cost more
            is_traced = other_tracers.OPENTELEMETRY in modules or other_tracers.OPENCENSUS in modules
            if is_traced and other_tracers.is_exporting():
                return
        if state.taken is entry:  # with `library.handlers = root.handlers`, it reaches our handler twice
            return
        is_dispatched = state.entry is entry
        if not is_dispatched and self.is_recorded(entry):  # a QueueListener that calls our handler
            return
        if self.crossings.is_active and self.crossings.is_copy(LOGURU, sent_message(entry)):
            return
        if state.outer is not None and state.is_log_call and self._is_loop(entry, state.outer):
            state.taken = entry
            return self.emitter.drop(LOOP)
        event = self.events.find(entry) if self.events.is_used else None
        if event is not None and event.is_recorded:
            return
        state.taken = entry
        lines = state.lines if is_dispatched and state.views else None
        message = self._messages.stdlib_record(entry, lines=lines, event=event)
        if state.return_path and is_dispatched and message is not None:
            sent = message if type(entry.msg) is str and event is None else sent_message(entry)
            RETURNABLE.add_record(entry, sent, state.return_path)

    def is_caused(self, entry: logging.LogRecord) -> bool:
        """Return whether amllog has caused a record. Then no handler gets it, because it would not exist otherwise.

        What HTTP libraries log about our requests is expected, and not counted.
        """
        if not own_work.causes():
            return False
        is_expected = str(entry.name).startswith(QUIET) and is_transport(entry.name)
        if entry.levelno >= self.emitter.threshold and not is_expected:
            self.emitter.drop_caused()
        return True

    @staticmethod
    def _is_loop(entry: logging.LogRecord, outer: Dispatch | None) -> bool:
        """Return whether a handler of a record has logged this one, and that record is of the same call site."""
        while outer is not None:
            before = outer.entry
            if before is not None and (before.lineno, before.pathname) == (entry.lineno, entry.pathname):
                return before is not entry and not own_work.is_interruption(sys._getframe(1))
            outer = outer.outer
        return False

    def passes(self, handler: logging.Handler, entry: logging.LogRecord) -> bool:
        """Return whether the filters on our handler accept a record. They may count, so they are called once."""
        state = self.threads.dispatch
        if state.entry is not entry:
            return bool(handler.filter(entry))
        if state.passed is None:
            state.passed = bool(handler.filter(entry))
        return state.passed

    def is_recorded(self, entry: logging.LogRecord) -> bool:
        """Return whether this process or another one of the run has recorded the record already."""
        if entry in RETURNABLE:
            return True
        if entry.process in (None, os.getpid()):
            return False
        return _OTHER_JOURNALS.contains(
            self.emitter.directory, entry, self.emitter.redactor.mask_and_truncate
        )

    def take_only(
        self, handler: logging.Handler, entry: logging.LogRecord, then: Callable[[], object] | None = None
    ) -> None:
        """Pass a record to our handler, which is the only one that it reaches. `then`: the hook of another library."""
        state = self.threads.dispatch
        try:
            state.entry = entry
            if entry.levelno >= handler.level:
                handler.handle(entry)
            if then is not None:
                then()
        finally:
            state.entry = state.taken = state.passed = None

    def new_dispatch(
        self, entry: logging.LogRecord, handlers: tuple[logging.Handler, ...], *, is_log_call: bool
    ) -> Dispatch:
        """Return the dispatch of a record to these handlers. `is_log_call`: it does not come from `handle(record)`."""
        if self.crossings.is_active:
            self.crossings.add(LOGGING, sent_message(entry))
        path = return_path(handlers, self.handler)
        return Dispatch(
            entry,
            handlers,
            self.threads.dispatch,
            return_path=path if is_log_call or not path else MADE,
            is_log_call=is_log_call,
            is_recorded=not is_log_call and self.is_recorded(entry),
        )

    def take_first(self, state: Dispatch, entry: logging.LogRecord) -> None:
        """Pass the record to our handler before another one changes it, sends it away, raises or ends the process."""
        self.threads.dispatch = state
        self.process = os.getpid()
        ours, is_new = self.handler, state.taken is None
        if (
            is_new
            and ours is not None
            and entry.levelno >= ours.level
            and has_receiver(entry, state.handlers)
        ):
            ours.handle(entry)

    def end(self, state: Dispatch) -> None:
        """End the dispatch of a record. Write our line if no handler has shown it."""
        if self.threads.dispatch is state:
            self.threads.dispatch = state.outer or Dispatch()
        if state.lines:
            self._messages.finish_lines(state.lines, state.is_shown)
