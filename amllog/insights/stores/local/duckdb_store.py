"""The local store: journal directories as DuckDB reads them.

In: directories with journals, also some that are being written. Out: answers; lines that could not be read are
counted in the table's notes.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from pathlib import Path

from amllog.errors import UsageError
from amllog.insights.query import sql
from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.query import Equals, Query
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.result import Column, Table
from amllog.insights.stores.local import duckdb_limits, duckdb_views, index_answers, open_files
from amllog.insights.stores.local.catalog import Catalog, Selection
from amllog.insights.stores.local.duckdb_engine import Engine, QueryResult
from amllog.insights.stores.store import answered, left_out
from amllog.process.released_locks import releasing

TRIES = 5  # at files that others delete meanwhile


class DuckDBStore:
    """Reads files, and `*.jsonl` and compacted runs in and below directories; those that appear later too.

    Threads may share it: they take turns, for DuckDB gives the rows of the connection's latest statement.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._engine = Engine()
        self._catalog = Catalog(places, self._engine)
        self._turn = threading.RLock()
        self._key = uuid.uuid4().hex

    @releasing("_turn")
    def answer(self, query: Query) -> Table:
        """The query's rows."""
        with self._turn:
            return self._answer(query, datetime.now(timezone.utc))

    def _answer(self, query: Query, now: datetime) -> Table:
        selection = self._catalog.select(query, now)
        found = None
        known = None if selection.has_several_owners else index_answers.rows(query, selection.groups, now)
        if known is not None:
            return answered(query, known, notes=_notes(selection), sql_time=now)
        window = _window(query, selection)
        unread: list[str] = []
        if window is not None:
            found, unread = self._run(window, now, self._catalog.select(window, now))
        if found is None or len(found.rows) < (query.limit or 0):
            found, unread = self._run(query, now, selection)
        return answered(query, found.rows, notes=_notes(selection, unread), sql_time=now)

    @releasing("_turn")
    def journals(self, run: str) -> list[Path]:
        """The journal files that hold records of a run or step."""
        about = Query(ALL_TABLES, ("timestamp",), conditions=(Equals(("parent_run_id", "step_id"), (run,)),))
        with self._turn:
            return self._catalog.select(about, datetime.now(timezone.utc)).journals

    @releasing("_turn")
    def query(self, kql: str) -> Table:
        """The rows of free KQL over everything; UsageError if the local engine cannot run it."""
        with self._turn:
            return self._kql(kql)

    def _kql(self, kql: str) -> Table:
        now = datetime.now(timezone.utc)
        selection = self._catalog.select(None, now)
        with self._held(None, now, selection) as (selection, there):
            names, records = tuple(there.names.values()), _records(selection, there)
            found = self._engine.run_kql(kql, records, files=names)
        columns = [Column(name) for name in found.names]
        notes = _notes(selection, there.notes)
        notes += (duckdb_limits.incomplete_note(found.reached),) if found.reached else ()
        return Table.of(columns, found.rows, notes=notes, texts=QueryTexts(kql=kql))

    def _run(self, query: Query, now: datetime, selection: Selection) -> tuple[QueryResult, list[str]]:
        """The rows, and notes on files that could be selected but not read."""
        asked = sql.statement(query, now)
        with self._held(query, now, selection) as (there_now, there):
            text = f"WITH records AS ({_records(there_now, there, asked.text)})\n{asked.text}"
            return self._engine.run(text, asked.parameters), there.notes

    @contextlib.contextmanager
    def _held(
        self, query: Query | None, now: datetime, selection: Selection
    ) -> Iterator[tuple[Selection, open_files.OpenFiles]]:
        """The selection with its files open. It is made anew where others have deleted some meanwhile: a compaction
        that has replaced them, a writer whose journal is full."""
        for left in reversed(range(TRIES)):
            key = self._key if query is None else ""  # so that free KQL finds the same names again
            with open_files.open_all(selection.journals, selection.compacted, key=key) as there:
                if not (left and there.deleted):
                    try:
                        yield selection, there
                    except UsageError as error:
                        told = there.with_paths(str(error))
                        if told == str(error):
                            raise
                        raise UsageError(told) from error
                    return
            selection = self._catalog.select(query, now)


def _records(selection: Selection, there: open_files.OpenFiles, asked: str = "") -> str:
    journals, compacted = (
        [there.names[path] for path in paths if path in there.names]
        for paths in (selection.journals, selection.compacted)
    )
    ranks = {there.names[path]: rank for path, rank in selection.ranks.items() if path in there.names}
    return duckdb_views.records(
        journals, compacted, deduplicate=selection.deduplicate, reader_sql=asked, ranks=ranks
    )


def _notes(selection: Selection, unread: Sequence[str] = ()) -> tuple[str, ...]:
    return left_out(selection.torn, [*selection.unread, *unread], selection.foreign)


def _window(query: Query, selection: Selection) -> Query | None:
    """The same query for the stretch of time in which its first rows must lie, by what the files are known to hold.

    None where that is everything. Where other conditions let fewer rows through, the answer is too short: ask again.
    """
    if query.limit is None or query.summaries or query.order not in (("timestamp",), ("-timestamp",)):
        return None
    latest = query.order == ("-timestamp",)
    ends = sorted(
        ((part.first if latest else part.last, part.records) for part in selection.groups), reverse=latest
    )
    reached = list(accumulate(records for _end, records in ends))
    enough = bisect_left(reached, query.limit)
    if enough >= len(ends) or ends[enough][0] == ends[-1][0]:
        return None
    at = datetime.fromisoformat(ends[enough][0]).replace(tzinfo=timezone.utc)
    if latest:
        return query if isinstance(query.since, datetime) and query.since > at else replace(query, since=at)
    after = at + timedelta(microseconds=1)
    return query if query.until and query.until < after else replace(query, until=after)
