"""Answer queries over journal files and compacted files with DuckDB.

Lines that cannot be read are counted in the notes of the answer. Files may be written, deleted or compacted during a
query. If a selected file has been deleted, the files are selected again. A compaction deletes files that it has
replaced, and a writer deletes journals when its directory is full.
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
from amllog.insights.query.cell_types import KUSTO_COLUMNS
from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.query import Query
from amllog.insights.query.query_texts import QueryTexts
from amllog.insights.query.reading import Reading
from amllog.insights.query.result import Column, Table
from amllog.insights.query.run_ids import run_condition
from amllog.insights.stores.local import duckdb_limits, duckdb_views, index_answers, open_files
from amllog.insights.stores.local.catalog import Catalog, Selection
from amllog.insights.stores.local.duckdb_engine import Engine, QueryResult
from amllog.insights.stores.store import damage_notes, make_table, reading_notes
from amllog.process.released_locks import releasing

MAX_ATTEMPTS = 5  # to open files that other processes delete


class DuckDBStore:
    """The store over the given files, and over all journals and compacted files in and below the given directories.

    Files that are created later are read as well. Threads may share a store. Their queries run one after the other,
    because a DuckDB connection returns only the rows of its latest statement.
    """

    knows_runs = True  # the index has them

    def __init__(self, places: Sequence[Path]) -> None:
        self._engine = Engine()
        self._catalog = Catalog(places, self._engine)
        self._lock = threading.RLock()
        self._key = uuid.uuid4().hex

    @releasing("_lock")
    def answer(self, query: Query) -> Table:
        """Return the rows of a query."""
        with self._lock:
            return self._answer(query, datetime.now(timezone.utc))

    def _answer(self, query: Query, now: datetime) -> Table:
        selection = self._catalog.select(query, now)
        rows = None if selection.has_several_owners else index_answers.rows(query, selection.groups, now)
        if rows is not None:
            return make_table(query, rows, notes=_notes(selection), sql_time=now, reading=_reading(selection))
        narrowed, answer = _narrowed(query, selection), None
        if narrowed is not None:
            answer = self._run(narrowed, now, self._catalog.select(narrowed, now))
        if answer is None or len(answer[0].rows) < (query.limit or 0):
            answer = self._run(query, now, selection)
        result, files = answer
        notes, reading = _notes(selection, files.notes), self._reading_of(selection, files)
        return make_table(query, result.rows, notes=notes, sql_time=now, reading=reading)

    def _reading_of(self, selection: Selection, files: open_files.OpenFiles) -> Reading:
        """Return how complete an answer is. The index may have records of files that can no longer be opened."""
        reading = _reading(selection, files.notes)
        if files.names or not files.unread:
            return reading
        return replace(reading, has_records=False, empty_places=tuple(map(str, self._catalog.places)))

    @releasing("_lock")
    def journals(self, run: str) -> list[Path]:
        """Return the journal files with records of a run or step, and of the runs below it."""
        query = Query(ALL_TABLES, ("timestamp",), conditions=run_condition(run))
        with self._lock:
            return self._catalog.select(query, datetime.now(timezone.utc)).journals

    @releasing("_lock")
    def query(self, kql: str) -> Table:
        """Return the rows of a KQL query over all files. Raises UsageError if the local engine cannot run it."""
        with self._lock:
            return self._query_kql(kql)

    def _query_kql(self, kql: str) -> Table:
        now = datetime.now(timezone.utc)
        with self._opened(None, now, self._catalog.select(None, now)) as (selection, files):
            names, records = tuple(files.names.values()), _records(selection, files)
            result = self._engine.run_kql(kql, records, files=names)
        columns = [Column(name, KUSTO_COLUMNS[type_]) for name, type_ in zip(result.names, result.types)]
        notes = _notes(selection, files.notes)
        notes += (duckdb_limits.incomplete_note(result.reached),) if result.reached else ()
        reading = self._reading_of(selection, files)
        return Table.of(columns, result.rows, notes=notes, texts=QueryTexts(kql=kql), reading=reading)

    def _run(
        self, query: Query, now: datetime, selection: Selection
    ) -> tuple[QueryResult, open_files.OpenFiles]:
        """Return the rows, and the files that were opened for them."""
        statement = sql.statement(query, now)
        with self._opened(query, now, selection) as (current, files):
            # A copy of a record with another time must not replace it: duplicates are removed before times are tested.
            times = "" if current.deduplicate else sql.time_test(query, now)
            records = _records(current, files, statement.text, times)
            text = f"WITH records AS ({records})\n{statement.text}"
            return self._engine.run(text, statement.parameters), files

    @contextlib.contextmanager
    def _opened(
        self, query: Query | None, now: datetime, selection: Selection
    ) -> Iterator[tuple[Selection, open_files.OpenFiles]]:
        """Open the files of a selection. They are selected again if one of them has been deleted."""
        for remaining in reversed(range(MAX_ATTEMPTS)):
            # With the same names for the same files, the sandbox for KQL can be used again.
            key = self._key if query is None else ""
            with open_files.open_all(selection.journals, selection.compacted, key=key) as files:
                if not (remaining and files.deleted):
                    try:
                        yield selection, files
                    except UsageError as error:
                        message = files.with_paths(str(error))
                        if message == str(error):
                            raise
                        raise UsageError(message) from error
                    return
            selection = self._catalog.select(query, now)


def _records(selection: Selection, files: open_files.OpenFiles, reader_sql: str = "", times: str = "") -> str:
    journals, compacted = (
        [files.names[path] for path in paths if path in files.names]
        for paths in (selection.journals, selection.compacted)
    )
    ranks = {files.names[path]: rank for path, rank in selection.ranks.items() if path in files.names}
    return duckdb_views.records(
        journals,
        compacted,
        deduplicate=selection.deduplicate,
        reader_sql=reader_sql,
        ranks=ranks,
        times=times,
    )


def _notes(selection: Selection, unread: Sequence[str] = ()) -> tuple[str, ...]:
    sentences = dict.fromkeys([*selection.unread, *unread, *selection.harmless])
    return reading_notes(selection.torn, sentences, selection.foreign, selection.damaged)


def _reading(selection: Selection, unread: Sequence[str] = ()) -> Reading:
    missing = [sentence for sentence in selection.unread if sentence not in selection.harmless]
    return replace(selection.reading, unread=(*missing, *unread, *damage_notes(selection.damaged)))


def _narrowed(query: Query, selection: Selection) -> Query | None:
    """Return the query for the time range that must contain its first rows, by the index. None without a smaller range.

    If other conditions exclude records in that range, the answer has fewer rows than the limit, and the whole query
    must be run.
    """
    if query.limit is None or query.summaries or query.order not in (("timestamp",), ("-timestamp",)):
        return None
    latest_first = query.order == ("-timestamp",)
    ends = sorted(
        ((group.first if latest_first else group.last, group.records) for group in selection.groups),
        reverse=latest_first,
    )
    totals = list(accumulate(records for _end, records in ends))
    index = bisect_left(totals, query.limit)
    if index >= len(ends) or ends[index][0] == ends[-1][0]:
        return None
    time = datetime.fromisoformat(ends[index][0]).replace(tzinfo=timezone.utc)
    if latest_first:
        is_narrower = isinstance(query.since, datetime) and query.since > time
        return query if is_narrower else replace(query, since=time)
    until = time + timedelta(microseconds=1)
    return query if query.until and query.until < until else replace(query, until=until)
