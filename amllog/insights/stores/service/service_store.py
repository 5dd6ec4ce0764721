"""Answer queries from Application Insights and Log Analytics, in pages by time.

The service returns at most 500,000 rows and 64 MB for one query. So a query for records in time order is sent in pages,
each with a limit of rows. A page without its last timestamp is complete, because the limit can only cut between records
of that timestamp. The next page begins at that timestamp. So records of one time stay together, and no record is
returned twice or is missing.

If all records of a page have the same timestamp, the page is requested again with a larger limit, up to the service's
own limit. If they still fill it, a note reports that records of that time may be missing. If the service truncates a
page because of its size, the page size becomes smaller. Summaries and queries in another order are sent in one request,
and a note reports missing rows.
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
from amllog.insights.query.reading import Reading
from amllog.insights.query.result import Column, Table
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.service import responses
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.responses import QueryResponse
from amllog.insights.stores.service.scope import CLASSIC, WORKSPACE
from amllog.insights.stores.store import make_table

ROWS_MAX = 500_000  # the service's limit for one response
PAGE_ROWS = 50_000  # 64 MB of our records have far fewer rows than the service's limit
INCOMPLETE = "the answer is not complete: "
UNBOUNDED = "no time range was given: queried all data that the service keeps (faster with last= or since=)"
_GENERATORS: dict[str, Callable[[Query], str]] = {CLASSIC: kql.classic, WORKSPACE: kql.workspace}
_CLOCK_DIFFERENCE = timedelta(minutes=5)  # between this machine and the service
_FUTURE = timedelta(days=1)  # records of machines whose clocks are ahead
_TICK = timedelta(microseconds=1)
_START = datetime(1970, 1, 1, tzinfo=timezone.utc)


class ServiceStore:
    """The store over one scope of the service, which requests at most `page_rows` rows at a time."""

    knows_runs = False  # a request reads them

    def __init__(self, client: QueryClient, *, page_rows: int = PAGE_ROWS) -> None:
        self._client, self._page_rows = client, page_rows
        self._dialects = client.scope.dialects  # after the first response, only the dialect that was accepted

    def answer(self, query: Query) -> Table:
        """Return all rows of a query."""
        notes: dict[str, None] = {}
        if query.since is None and query.until is None:
            notes[UNBOUNDED] = None
        rows = list(self._pages(query, notes) if _is_paged(query) else self._all_rows(query, notes))
        incomplete = tuple(note for note in notes if note.startswith(INCOMPLETE))
        return make_table(query, rows, notes=tuple(notes), reading=Reading(unread=incomplete))

    def query(self, kql: str) -> Table:
        """Return the rows of a KQL query, which is sent unchanged and sets its own time range."""
        response = self._client.query(kql, None)
        if response.unknown_table:
            raise responses.missing_table_error(self._client.scope, response.unknown_table)
        notes = (_incomplete_note(response),) if response.incomplete_reason else ()
        columns = [
            Column(name, cell_types.KUSTO_COLUMNS.get(type_, "any"))
            for name, type_ in zip(response.names, response.types)
        ]
        return Table.of(columns, response.rows, notes=notes, texts=QueryTexts(kql=kql))

    def _all_rows(self, query: Query, notes: dict[str, None]) -> Sequence[list[Any]]:
        """Return the rows of a query that cannot be paged: a summary, or one in another order than time."""
        response = self._send(query, notes)
        if response.incomplete_reason:
            notes[_incomplete_note(response)] = None
        return response.rows

    def _pages(self, query: Query, notes: dict[str, None]) -> Iterator[list[Any]]:
        """Yield the rows of a query in time order, page by page."""
        index, latest_first = query.columns.index("timestamp"), query.order == ("-timestamp",)
        size, max_size = self._page_rows, max(self._page_rows, ROWS_MAX)
        page_query, count = query, 0
        while True:
            limit = size if query.limit is None else min(size, query.limit - count)
            response = self._send(replace(page_query, limit=limit), notes)
            if response.is_truncated and limit > 1:
                size = max_size = len(response.rows) if 0 < len(response.rows) < limit else limit // 2
                continue
            if response.incomplete_reason:
                notes[_incomplete_note(response)] = None
            rows = list(response.rows)
            if len(rows) < limit or count + len(rows) == query.limit:
                yield from rows
                return
            last_time = cell_types.to_time(rows[-1][index])
            complete = _without_time(last_time, rows, index)
            if not complete and limit < max_size:
                size = min(max_size, size * 4)
                continue
            if last_time is None:
                raise UsageError(
                    "the service returned a record without a timestamp: use a shorter time range"
                )
            if not complete:  # another request for this time would only return the same records
                notes[
                    f"more than {limit} records of {last_time:%Y-%m-%dT%H:%M:%S.%fZ}: some may be missing"
                ] = None
                complete, last_time = rows, last_time if latest_first else last_time + _TICK
            elif latest_first:
                last_time += _TICK
            yield from complete
            count += len(complete)
            size = min(self._page_rows, max_size)
            if latest_first:
                page_query = replace(page_query, until=last_time)
            else:
                page_query = replace(page_query, since=last_time)

    def _send(self, query: Query, notes: dict[str, None]) -> QueryResponse:
        """Send one request, in the dialect that the scope accepts. Tables that do not exist yet have no rows."""
        time_range = timespan(query, datetime.now(timezone.utc))
        for dialect in self._dialects:
            response = self._client.query(_GENERATORS[dialect](query), time_range)
            if not response.unknown_table:
                self._dialects = (dialect,)
                return response
        unknown = response.unknown_table
        tables = tuple(table for table in query.tables if unknown not in TABLES[table][:2])
        if len(self._dialects) > 1 or not tables or len(tables) == len(query.tables):
            raise responses.missing_table_error(self._client.scope, unknown)
        notes[f"the table {unknown} does not exist yet"] = None
        return self._send(replace(query, tables=tables), notes)


def timespan(query: Query, now: datetime) -> str | None:
    """Return the time range of the request in ISO 8601, which contains that of the query. None without one."""
    if query.since is None and query.until is None:
        return None
    since = (
        now - query.since - _CLOCK_DIFFERENCE if isinstance(query.since, timedelta) else query.since or _START
    )
    until = query.until or now + _FUTURE
    start = since.astimezone(timezone.utc)
    return f"{_iso(start)}/{_iso(max(start, until.astimezone(timezone.utc)))}"


def _is_paged(query: Query) -> bool:
    in_time_order = query.order in (("timestamp",), ("-timestamp",))
    return in_time_order and not query.summaries and "timestamp" in query.columns


def _without_time(time: datetime | None, rows: list[list[Any]], index: int) -> list[list[Any]]:
    """Return the rows of a page without those at its end that have this time."""
    end = len(rows)
    while end and cell_types.to_time(rows[end - 1][index]) == time:
        end -= 1
    return rows[:end]


def _incomplete_note(response: QueryResponse) -> str:
    advice = ". Use a shorter time range or fewer columns" if response.is_truncated else ""
    return f"{INCOMPLETE}{response.incomplete_reason}{advice}"


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
