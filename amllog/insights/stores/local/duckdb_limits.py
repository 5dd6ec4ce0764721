"""Limits of one free query: characters of KQL and SQL, rows, bytes, time, and the memory of a process of our own.

In: KQL, what translates it, a statement that runs. Out: SQL and rows within the limits. Anything beyond them
is a `UsageError`, or is left out of the answer, which then has a note.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import thread_time
from types import FrameType
from typing import Any, NamedTuple

from amllog.errors import UsageError
from amllog.process.released_locks import releasing

QUERY_MAX = 100_000  # characters; the service takes more, and has more memory
SQL_MAX = 250_000  # characters
TRANSLATED_MAX = 30_000_000  # characters of everything that the SQL was put together from
TRANSLATION_SECONDS, CHARACTERS_PER_SECOND = 10.0, 4_000  # of the processor's time
ROWS_MAX, BYTES_MAX = 500_000, 64_000_000  # of an answer, as the service has them
SECONDS, LONGEST_SECONDS = 180.0, 600.0  # the service's own default and maximum
TABLES_MAX = 100  # that one query reads
PROCESS_BYTES = 2_147_483_648  # that a process of our own may grow by while it runs free queries
_PIECE = 64  # rows, which are in memory together whatever their size
_NARROWER = "ask for less time, fewer rows, or a sum"


def _wanted() -> bool:
    return False


class Limits(NamedTuple):
    """The limits of one answer. `is_cancelled` returns whether nobody waits for it any more."""

    rows: int = ROWS_MAX
    bytes: int = BYTES_MAX
    seconds: float = SECONDS
    is_cancelled: Callable[[], bool] = _wanted


class ProcessMemory:
    """The memory of the whole process while free queries run: the last limit, for what no other one knows.

    Only where the process is ours (`claim`): a script's own memory is not limited. It needs Linux.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._is_ours = False
        self._running = 0
        self._before = (0, 0)

    def claim(self) -> None:
        """From now on: this process is a command of amllog."""
        self._is_ours = True

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Within the block, allocations fail if the process has grown by more than PROCESS_BYTES."""
        if not self._is_ours or not sys.platform.startswith("linux"):
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

        found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8", "replace"))
        self._before = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(found[1]) * 1024 + PROCESS_BYTES if found else resource.RLIM_INFINITY
        if found and all(most < limit or limit == resource.RLIM_INFINITY for limit in self._before):
            resource.setrlimit(resource.RLIMIT_DATA, (most, self._before[1]))

    def _reset(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, self._before)


PROCESS_MEMORY = ProcessMemory()


class QueryTimeout(UsageError):
    """A query that took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the local engine has not answered within {seconds:g} s: {_NARROWER}")


class Translation:
    """The translation of one query, which ends where it takes too much, or when `stop` was called."""

    def __init__(self, kql: str) -> None:
        self._seconds = TRANSLATION_SECONDS + len(kql) / CHARACTERS_PER_SECOND
        self._stopped = False
        self._made = self._steps = 0
        self._until = 0.0

    def stop(self) -> None:
        """End it, from another thread."""
        self._stopped = True

    def run(self, translate: Callable[[], Any]) -> Any:
        """The result of `translate`. Raises UsageError if it makes too much SQL of the query.

        A small query can become gigabytes of SQL: each definition is put where it is named, and many functions are
        translated to expressions that contain their argument ten times. So every text that is made on the way counts.
        """
        before, self._until = sys.getprofile(), thread_time() + self._seconds
        sys.setprofile(self._look)
        try:
            return translate()
        except _TooMuchError as error:
            raise UsageError(
                f"the local engine cannot answer this KQL: it is too complex ({error})"
            ) from None
        finally:
            sys.setprofile(before)

    def _look(self, frame: FrameType, event: str, value: Any) -> None:
        if event != "return":
            return
        if value.__class__ is str:
            self._made += len(value)
            if self._made > TRANSLATED_MAX or len(value) > SQL_MAX:
                raise _TooMuchError(f"more than {SQL_MAX} characters of SQL")
        self._steps += 1
        if self._stopped or (self._steps % 1024 == 0 and thread_time() > self._until):
            raise _TooMuchError(f"more than {self._seconds:.0f} s to translate it")


class _TooMuchError(Exception):
    """Ends a translation."""


def check_length(kql: str) -> None:
    """Raise UsageError for a query that is too long."""
    if len(kql) > QUERY_MAX:
        raise UsageError(
            f"the query has {len(kql)} characters, and the local engine takes {QUERY_MAX} at most: "
            "name fewer values in it, or ask the service"
        )


def fetch_rows(
    cursor: Any, convert: Callable[[Sequence[Any]], tuple[Any, ...]], limits: Limits
) -> tuple[list[tuple[Any, ...]], str]:
    """The rows of a statement, and which limit they reached ("" for none)."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while piece := cursor.fetchmany(_PIECE):
        for row in piece:
            size += sum(map(_size, row))
            if size > limits.bytes:
                return rows, f"{limits.bytes} bytes"
            if len(rows) >= limits.rows:
                return rows, f"{limits.rows} records"
            rows.append(convert(row))
    return rows, ""


def incomplete_note(reached: str) -> str:
    """The note on an answer that reached a limit."""
    return f"the answer is not complete: it has more than {reached}; {_NARROWER}"


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return 8 + sum(map(_size, value))
    return 8 + sum(map(_size, value.values())) if isinstance(value, dict) else 8
