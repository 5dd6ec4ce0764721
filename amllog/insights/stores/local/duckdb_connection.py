"""One DuckDB in memory with our settings. Ctrl-C, limits of time and whoever waits end its statements.

In: callables that run statements. Out: what they return, or the exception that ends them.
"""

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
MEMORY = "700MB"
# That an interrupt is given: a function at work on one large value does not hear it before its end.
END_SECONDS = 5.0
_LOOK_SECONDS = 0.2
# The cache goes by names, and the name of a descriptor stands for another file each time.
_SETTINGS = f"""
SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false; SET TimeZone = 'UTC';
SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;
SET python_enable_replacements = false; SET enable_external_file_cache = false;
"""


class Database:
    """One DuckDB in memory with our settings."""

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("duckdb", "insights") from None
        self.error: type[Exception] = duckdb.Error
        self.is_stuck = False  # a statement goes on that nothing could end
        self.connection = duckdb.connect(":memory:")
        self.run_interruptible(self._configure)

    def _configure(self) -> None:
        self.connection.execute(_SETTINGS)
        # DuckDB creates it when it is needed. Each has its own: DuckDB before 2.0 fails if two write into one.
        self.connection.execute(
            "SET temp_directory = ?", [f"{temporary_directory.process_directory()}/{uuid.uuid4().hex}"]
        )

    def run_interruptible(self, ask: Callable[[], T]) -> T:
        """Return the answer of `ask`. Raise KeyboardInterrupt as soon as Ctrl-C comes.

        The work runs in another thread. In the main thread, DuckDB checks for signals between its tasks only, and a
        join of millions with millions is one task of many minutes. It also raises RuntimeError in place of what the
        handler of the signal has raised.
        """
        if threading.current_thread() is not threading.main_thread():
            return ask()
        attempt = BackgroundCall(ask)
        try:
            answer: T = attempt.result(threading.TIMEOUT_MAX)
        except KeyboardInterrupt:
            self._end(attempt)
            raise
        return answer

    def run_limited(self, ask: Callable[[], T], most: Limits, stop: Callable[[], None]) -> T:
        """Like `interruptible`, and at most for its seconds, and as long as it is wanted. `stop` ends what is not
        DuckDB's work."""
        attempt, until = BackgroundCall(ask), monotonic() + most.seconds
        try:
            while not attempt.over:
                if monotonic() > until or most.is_cancelled():
                    raise duckdb_limits.QueryTimeout(most.seconds)
                attempt.wait(max(0.0, min(until - monotonic(), _LOOK_SECONDS)))
        except (KeyboardInterrupt, duckdb_limits.QueryTimeout):
            stop()
            self._end(attempt)
            raise
        answer: T = attempt.result(0.0)
        return answer

    def _end(self, attempt: BackgroundCall) -> None:
        """Interrupt a statement until it has ended. If it does not end, this database is not used any more."""
        until = monotonic() + END_SECONDS
        while not attempt.over and monotonic() < until:  # repeated: work that has not begun yet ignores it
            with contextlib.suppress(KeyboardInterrupt):  # pressed twice
                self.connection.interrupt()
                attempt.wait(0.05)
        self.is_stuck = not attempt.over
