"""One in-memory DuckDB connection with our settings, whose statements Ctrl-C and time limits can interrupt."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from amllog.errors import MissingExtraError
from amllog.insights.stores.local import duckdb_limits, temporary_directory
from amllog.insights.stores.local.duckdb_limits import Limits
from amllog.process.background import BackgroundCall

T = TypeVar("T")
MEMORY_LIMIT = "700MB"
# The time for an interrupt. A function that processes one large value does not notice it before its end.
INTERRUPT_SECONDS = 5.0
_POLL_SECONDS = 0.2
# DuckDB's cache of files is by name, and the path of a descriptor leads to another file each time.
_SETTINGS = f"""
SET memory_limit = '{MEMORY_LIMIT}'; SET preserve_insertion_order = false; SET TimeZone = 'UTC';
SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;
SET python_enable_replacements = false; SET enable_external_file_cache = false;
"""
# The work that is being done now.
_RUNNING: set[_Work] = set()


def is_statement_running() -> bool:
    """Return whether a statement is running, in a thread that `Database` has started."""
    return bool(_RUNNING)


class Database:
    """One DuckDB in memory with our settings."""

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("duckdb", "insights") from None
        self.error: type[Exception] = duckdb.Error
        self.is_stuck = False  # a statement is running that could not be interrupted
        self.connection = duckdb.connect(":memory:")
        self.run_interruptible(self._configure)

    def _configure(self) -> None:
        self.connection.execute(_SETTINGS)
        # DuckDB creates the directory when it needs it. Before version 2.0, it fails if two connections share one.
        self.connection.execute(
            "SET temp_directory = ?", [f"{temporary_directory.process_directory()}/{uuid.uuid4().hex}"]
        )

    def run_interruptible(self, function: Callable[[], T]) -> T:
        """Return the result of `function`. Raises KeyboardInterrupt as soon as Ctrl-C is pressed.

        The function runs in another thread. In the main thread, DuckDB checks for signals only between its tasks, and
        a join of millions with millions is one task of many minutes. It also raises RuntimeError instead of the
        exception of the signal handler.
        """
        if threading.current_thread() is not threading.main_thread():
            return function()
        work = _Work(function)
        try:
            result: T = BackgroundCall(work.run).result(threading.TIMEOUT_MAX)
        except KeyboardInterrupt:
            self._interrupt(work)
            raise
        return result

    def run_limited(self, function: Callable[[], T], limits: Limits) -> T:
        """Like `run_interruptible`, but also end at the time limit and if the query is cancelled.

        Raises QueryTimeout.
        """
        work, deadline = _Work(function), monotonic() + limits.seconds
        try:
            call = BackgroundCall(work.run)
            while not call.over:
                if monotonic() > deadline or limits.is_cancelled():
                    raise duckdb_limits.QueryTimeout(limits.seconds)
                call.wait(max(0.0, min(deadline - monotonic(), _POLL_SECONDS)))
        except (KeyboardInterrupt, duckdb_limits.QueryTimeout):
            self._interrupt(work)
            raise
        result: T = call.result(0.0)
        return result

    def _interrupt(self, work: _Work) -> None:
        """Interrupt a statement until it has ended. If it does not end, the database cannot be used again."""
        work.cancel()
        deadline = monotonic() + INTERRUPT_SECONDS
        # Repeated, because a statement that has not started yet ignores an interrupt.
        while work.is_running and monotonic() < deadline:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C was pressed twice
                self.connection.interrupt()
                work.ended.wait(0.05)
        self.is_stuck = work.is_running


class _Work:
    """A function that another thread calls, unless it is cancelled before.

    Ctrl-C may be pressed while the thread starts, when there is no `BackgroundCall` to wait for yet. A statement that
    nobody waits for would still run when Python ends, which aborts the process.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._has_begun = self._is_cancelled = False
        self.ended = threading.Event()

    def run(self) -> object:
        self._has_begun = True  # before the check, so that `cancel` or this method notices the other
        _RUNNING.add(self)
        try:
            return None if self._is_cancelled else self._function()
        finally:
            _RUNNING.discard(self)
            self.ended.set()

    def cancel(self) -> None:
        self._is_cancelled = True

    @property
    def is_running(self) -> bool:
        return self._has_begun and not self.ended.is_set()
