"""The store over Application Insights and Log Analytics: questions as KQL, long answers in pages by time.

In: a `Query`, or free KQL. Out: a `Table`, the same as the local store's; its notes say what is missing, and over
which time an unbounded question went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from amllog.errors import UsageError
from amllog.insights.query import cell_types, kql
from amllog.insights.query.query import Query
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.result import Column, Table
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.service import responses
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.responses import QueryResponse
from amllog.insights.stores.service.scope import CLASSIC, WORKSPACE
from amllog.insights.stores.store import answered

ROWS_MAX = 500_000  # that the service gives at once
PAGE_ROWS = 50_000  # of our records, its 64 MB are reached long before its rows
UNBOUNDED = "no time was given: asked for everything that the service keeps (faster with last= or since=)"
_WRITERS: dict[str, Callable[[Query], str]] = {CLASSIC: kql.classic, WORKSPACE: kql.workspace}
_CLOCKS = timedelta(minutes=5)  # what our clock and the service's may be apart
_AHEAD = timedelta(days=1)  # records of machines whose clocks are ahead
_TICK = timedelta(microseconds=1)
_EVER = datetime(1970, 1, 1, tzinfo=timezone.utc)


class ServiceStore:
    """Asks the service through `client`, at most `page_rows` rows at a time."""

    def __init__(self, client: QueryClient, *, page_rows: int = PAGE_ROWS) -> None:
        self._client, self._page_rows = client, page_rows
        self._dialects = client.scope.dialects  # as soon as one was understood, only that one

    def answer(self, query: Query) -> Table:
        """The query's rows, all pages of them."""
        notes: dict[str, None] = {}
        if query.since is None and query.until is None:
            notes[UNBOUNDED] = None
        rows = list(self._pages(query, notes) if _is_paged(query) else self._whole(query, notes))
        return answered(query, rows, notes=tuple(notes))

    def query(self, kql: str) -> Table:
        """The rows of free KQL, sent as it is, over the time that it says itself."""
        reply = self._client.query(kql, None)
        if reply.unknown:
            raise responses.missing_table_error(self._client.scope, reply.unknown)
        kinds = [
            cell_types.CONVERTERS["time"] if kind == "datetime" else cell_types.to_any for kind in reply.types
        ]
        rows = [[kind(value) for kind, value in zip(kinds, row)] for row in reply.rows]
        notes = (_incomplete(reply),) if reply.incomplete_reason else ()
        return Table.of([Column(name) for name in reply.names], rows, notes=notes, texts=QueryTexts(kql=kql))

    def _whole(self, query: Query, notes: dict[str, None]) -> Sequence[list[Any]]:
        """Rows that cannot be asked for in pages: sums, or in another order than that of time."""
        reply = self._ask(query, notes)
        if reply.incomplete_reason:
            notes[_incomplete(reply)] = None
        return reply.rows

    def _pages(self, query: Query, notes: dict[str, None]) -> Iterator[list[Any]]:
        """Rows in time order. A page ends before its last instant, at which the next begins: what stands there
        together stays together, and comes once."""
        at, latest = query.columns.index("timestamp"), query.order == ("-timestamp",)
        size, most = self._page_rows, max(self._page_rows, ROWS_MAX)
        part, found = query, 0
        while True:
            wanted = size if query.limit is None else min(size, query.limit - found)
            reply = self._ask(replace(part, limit=wanted), notes)
            if reply.is_truncated and wanted > 1:
                size = most = len(reply.rows) if 0 < len(reply.rows) < wanted else wanted // 2
                continue
            if reply.incomplete_reason:
                notes[_incomplete(reply)] = None
            rows = list(reply.rows)
            if len(rows) < wanted or found + len(rows) == query.limit:
                yield from rows
                return
            seam = cell_types.to_time(rows[-1][at])
            whole = _before(seam, rows, at)
            if not whole and wanted < most:
                size = min(most, size * 4)
                continue
            if seam is None:
                raise UsageError("the service gave a record without a time: ask for a shorter time")
            if not whole:  # nothing is asked for twice that could only come the same again
                notes[f"more than {wanted} records of {seam:%Y-%m-%dT%H:%M:%S.%fZ}: some may not be here"] = (
                    None
                )
                whole, seam = rows, seam if latest else seam + _TICK
            elif latest:
                seam += _TICK
            yield from whole
            found += len(whole)
            size = min(self._page_rows, most)
            part = replace(part, until=seam) if latest else replace(part, since=seam)

    def _ask(self, query: Query, notes: dict[str, None]) -> QueryResponse:
        """One request, in the dialect that the scope speaks; tables that are not there yet have no rows."""
        time = timespan(query, datetime.now(timezone.utc))
        for dialect in self._dialects:
            reply = self._client.query(_WRITERS[dialect](query), time)
            if not reply.unknown:
                self._dialects = (dialect,)
                return reply
        left = tuple(table for table in query.tables if reply.unknown not in TABLES[table][:2])
        if len(self._dialects) > 1 or not left or len(left) == len(query.tables):
            raise responses.missing_table_error(self._client.scope, reply.unknown)
        notes[f"there is no {reply.unknown} yet"] = None
        return self._ask(replace(query, tables=left), notes)


def timespan(query: Query, now: datetime) -> str | None:
    """The time over which the service shall look: no narrower than the query's own conditions; None without any."""
    if query.since is None and query.until is None:
        return None
    since = now - query.since - _CLOCKS if isinstance(query.since, timedelta) else query.since or _EVER
    until = query.until or now + _AHEAD
    begin = since.astimezone(timezone.utc)
    return f"{_iso(begin)}/{_iso(max(begin, until.astimezone(timezone.utc)))}"


def _is_paged(query: Query) -> bool:
    in_time = query.order in (("timestamp",), ("-timestamp",))
    return in_time and not query.summaries and "timestamp" in query.columns


def _before(seam: datetime | None, rows: list[list[Any]], at: int) -> list[list[Any]]:
    """The rows of a page without those of its last instant."""
    end = len(rows)
    while end and cell_types.to_time(rows[end - 1][at]) == seam:
        end -= 1
    return rows[:end]


def _incomplete(reply: QueryResponse) -> str:
    advice = "; ask for less time, or fewer columns" if reply.is_truncated else ""
    return f"the answer is not complete: {reply.incomplete_reason}{advice}"


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
