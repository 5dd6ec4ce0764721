"""The hook of `Logger.callHandlers` in one generation of logging. Our handler gets each record first.

A record that amllog itself has caused reaches no handler (`process/own_work`).

Other handlers may change the record, send it away, raise an exception or end the process. Therefore, they get it after
our handler. The hook takes these steps:

1. It adds our handler again if it was removed, and reports the other handlers to `on_handler`.
2. It passes the record to our handler. A record that no handler accepts was silenced on purpose and is not taken.
3. It passes the record to all other handlers, as logging does. A hook of another library below ours does that itself.
   A record that only amllog admits (`level_gate`) ends here.
4. It writes our line, unless a handler has shown the record on the driver log.

If our handler is the only one, step 2 is enough. After `close()`, a hook of another library may still call ours. Then
it only passes records on.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

from amllog.process.frames import disguised
from amllog.process.hooks import Hook
from amllog.process.own_work import THREAD
from amllog.sources.capture import logging_lock
from amllog.sources.capture.console_views import View
from amllog.sources.capture.level_gate import LevelGate
from amllog.sources.capture.logging_tree import (
    handlers_of,
    has_handlers,
    is_log_call,
    is_only_handler,
    live_handlers,
)
from amllog.sources.capture.record_taker import RETURNABLE, Dispatch, RecordTaker

_NO_VIEW = View()


class RecordDispatch:
    """Pass the records of one generation of logging to our handler and to all others."""

    def __init__(
        self, kind: Any, taker: RecordTaker, gate: LevelGate, on_handler: Callable[[logging.Handler], object]
    ) -> None:
        """`on_handler` is called for every other handler that a record reaches."""
        self._taker, self._gate, self._on_handler = taker, gate, on_handler
        self._is_closed = False
        replacement = self._over(kind.callHandlers)
        self.hook = Hook(kind, "callHandlers", replacement)
        gate.use_dispatch(replacement)

    def close(self) -> None:
        """Only pass records on from now on."""
        self._is_closed = True

    def _over(self, dispatch: Callable[..., None]) -> Callable[..., None]:
        taker, threads, root, gate = self._taker, self._taker.threads, self._gate.root, self._gate
        is_foreign = dispatch.__module__ != "logging"  # the hook of another library

        def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802  # as in logging
            """Pass the record to our handler, then to all others in this frame, as logging does."""
            if THREAD.doing and taker.is_caused(record):
                return None
            ours, state, began = taker.handler, threads.dispatch, None
            if ours is not None and not self._is_closed:
                usual = state.entry is None and not RETURNABLE.recent and record.process == taker.process
                if usual and is_only_handler(ours, logger):
                    is_passed_on = is_foreign and not (
                        record.levelno < root.level and gate.is_admitted(logger, record)
                    )
                    return taker.take_only(
                        ours, record, functools.partial(dispatch, logger, record) if is_passed_on else None
                    )
                began = self._prepare(logger, record, ours)
                if began is None:  # another thread has called setup(): once more, with the new handler
                    return logger.callHandlers(record)
                state = began
            try:
                if began is not None and self._take_first(logger, record, began):
                    return None
                if is_foreign or not has_handlers(logger):
                    with _NO_VIEW if began is None else began.observe_hook():
                        return dispatch(logger, record)
                # If another library has called a hook of ours after `close()`, our handler may be one of the others.
                is_known = state.entry is record
                views = state.observe() if is_known else None
                for handler in live_handlers(logger):
                    if not (is_known and handler is ours) and record.levelno >= handler.level:
                        if views and id(handler) in views:
                            with views[id(handler)]:
                                views[id(handler)].accept(handler.handle(record))
                        else:
                            handler.handle(record)
                return None
            finally:
                if began is not None:
                    taker.end(began)

        hook = disguised(callHandlers, logging.Handler.handle)  # as in logging
        return functools.update_wrapper(hook, dispatch)

    def _prepare(
        self, logger: logging.Logger, entry: logging.LogRecord, ours: logging.Handler
    ) -> Dispatch | None:
        """Return a new dispatch of a record, or None if our handler is another one now."""
        if ours not in logger.root.handlers:  # a logging configuration has removed it
            logging_lock.call_releasing(logger.root.addHandler, ours)
        reached = handlers_of(logger)
        for handler in reached:
            if handler is not ours:
                self._on_handler(handler)
        if self._taker.handler is not ours:
            return None
        # Frames: this one, the hook, then the method of the logger that has called it.
        return self._taker.new_dispatch(entry, reached, is_log_call=is_log_call(sys._getframe(2)))

    def _take_first(self, logger: logging.Logger, entry: logging.LogRecord, state: Dispatch) -> bool:
        """Pass the record to our handler before others. Return whether they do not get it."""
        is_admitted = entry.levelno < self._gate.root.level and self._gate.is_admitted(logger, entry)
        if not is_admitted:
            views = self._taker.consoles.views(state.handlers, entry, self._taker.handler)
            for handler in state.handlers:
                if self._taker.shows_elsewhere(handler, entry):
                    views[id(handler)] = View()
            state.expect(views)
        self._taker.take_first(state, entry)
        return is_admitted
