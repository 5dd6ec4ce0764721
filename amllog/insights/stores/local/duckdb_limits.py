"""Limit one KQL query of a user: characters of KQL, rows, bytes, time, and the memory of the process.

A query beyond a limit raises UsageError, or its remaining rows are left out and the answer has a note.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog.errors import UsageError
from amllog.process.released_locks import releasing

QUERY_MAX = 100_000  # characters. The service accepts more, and has more memory.
ROWS_MAX, BYTES_MAX = 500_000, 64_000_000  # of an answer: the limits of the service
SECONDS, LONGEST_SECONDS = 180.0, 600.0  # the service's own default and maximum
TABLES_MAX = 100  # reads of tables in one query
PROCESS_BYTES = 2_147_483_648  # growth of a command of amllog while it runs queries of users
_FETCHED_ROWS = 64  # in memory together, of any size
_ADVICE = "a shorter time range, fewer rows, or a summary"


def _never_cancelled() -> bool:
    return False


class Limits(NamedTuple):
    """The limits of one answer. `is_cancelled` returns whether no client waits for it any more."""

    rows: int = ROWS_MAX
    bytes: int = BYTES_MAX
    seconds: float = SECONDS
    is_cancelled: Callable[[], bool] = _never_cancelled


class ProcessMemory:
    """A limit of the memory of the whole process while queries of users run.

    It applies to memory that no other limit includes, in commands of amllog only (`claim`). The memory of a script is
    not limited. It needs Linux.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_claimed = False
        self._running = 0
        self._limits_before = (0, 0)

    def claim(self) -> None:
        """Declare that this process is a command of amllog."""
        self._is_claimed = True

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Let allocations in the block fail if the process has grown by more than PROCESS_BYTES."""
        if not self._is_claimed or not sys.platform.startswith("linux"):
            yield
            return
        self._begin()
        try:
            yield
        finally:
            self._end()

    @releasing("_lock")
    def _begin(self) -> None:
        with self._lock:
            self._running += 1
            if self._running == 1:
                self._set()

    @releasing("_lock")
    def _end(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self._reset()

    def _set(self) -> None:
        import resource

        match = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8", "replace"))
        self._limits_before = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(match[1]) * 1024 + PROCESS_BYTES if match else resource.RLIM_INFINITY
        if match and all(most < limit or limit == resource.RLIM_INFINITY for limit in self._limits_before):
            resource.setrlimit(resource.RLIMIT_DATA, (most, self._limits_before[1]))

    def _reset(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, self._limits_before)


PROCESS_MEMORY = ProcessMemory()


class QueryTimeout(UsageError):
    """A query that reached its time limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the local engine has not answered within {seconds:g} s: use {_ADVICE}")


def check_length(kql: str) -> None:
    """Raise UsageError for a query that is too long."""
    if len(kql) > QUERY_MAX:
        raise UsageError(
            f"the query has {len(kql)} characters, and the local engine accepts {QUERY_MAX} at most: "
            "use fewer values, or query the service"
        )


def fetch_rows(
    cursor: Any, convert: Callable[[Sequence[Any]], tuple[Any, ...]], limits: Limits
) -> tuple[list[tuple[Any, ...]], str]:
    """Return the rows of a statement, and the limit that they reached ("" for none)."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while fetched := cursor.fetchmany(_FETCHED_ROWS):
        for row in fetched:
            size += sum(map(_size, row))
            if size > limits.bytes:
                return rows, f"{limits.bytes} bytes"
            if len(rows) >= limits.rows:
                return rows, f"{limits.rows} records"
            rows.append(convert(row))
    return rows, ""


def incomplete_note(reached: str) -> str:
    """Return the note for an answer that reached a limit."""
    return f"the answer is not complete: it has more than {reached}. Use {_ADVICE}"


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return 8 + sum(map(_size, value))
    return 8 + sum(map(_size, value.values())) if isinstance(value, dict) else 8
