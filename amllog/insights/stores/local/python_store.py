"""Answer the same queries as the DuckDB store in Python, if DuckDB is not installed.

It reads all files for each query, so it is meant for journals of up to some ten thousand records.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from amllog.errors import UsageError
from amllog.insights.query.columns import DEFAULT_SEVERITIES
from amllog.insights.query.query import (
    Alias,
    AtLeast,
    Condition,
    Contains,
    Dimension,
    Equals,
    Holds,
    Query,
    column_name,
)
from amllog.insights.query.reading import Reading
from amllog.insights.query.result import Table
from amllog.insights.query.run_ids import run_condition
from amllog.insights.stores.local import discovery, other_formats, python_rows
from amllog.insights.stores.local.discovery import is_below
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.leftovers import Leftovers
from amllog.insights.stores.local.manifest import manifest_problem, read_batches
from amllog.insights.stores.local.ownership import FOREIGN
from amllog.insights.stores.local.python_summaries import summarize
from amllog.insights.stores.store import columns_of, damage_notes, make_table, reading_notes
from amllog.record import envelope

KQL_NEEDS = "free KQL on journals needs DuckDB: pip install 'amllog[insights]'"
_MIN_TIME = datetime.min.replace(tzinfo=timezone.utc)
Row = dict[str, Any]


class LoadedJournals(NamedTuple):
    """The content of a file.

    `torn`: the number of unfinished lines. `damaged`: the number of other lines that are not records. `unread`: why the
    file could not be read.
    """

    records: list[python_rows.PythonRecord]
    torn: int = 0
    damaged: int = 0
    unread: tuple[str, ...] = ()


class AllJournals(NamedTuple):
    """The records of all files, with notes on what is not in them."""

    records: list[python_rows.PythonRecord]
    notes: tuple[str, ...]
    reading: Reading


class PythonStore:
    """The store over the given files, and over all journals in and below the given directories.

    Files that are created later are read as well.
    """

    knows_runs = True  # all records are in memory

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(places)
        self._loaded: dict[discovery.FoundFile, LoadedJournals] = {}

    def answer(self, query: Query) -> Table:
        """Return the rows of a query."""
        now = datetime.now(timezone.utc)
        journals = self._load()
        since = now - query.since if isinstance(query.since, timedelta) else query.since
        records = [
            record
            for record in journals.records
            if record.table in query.tables
            and (since is None or record.time >= since)
            and (query.until is None or record.time < query.until)
            and all(_matches(record, condition) for condition in query.conditions)
        ]
        if not query.summaries:
            _sort_records(records, query.order)
        rows = [
            {column_name(column): _value(record, column) for column in query.columns} for record in records
        ]
        for summary in query.summaries:
            rows = summarize(summary, rows)
        if query.summaries or query.order not in (("timestamp",), ("-timestamp",)):
            dimensions = {column.key for column in query.columns if isinstance(column, Dimension)}
            for name in reversed(query.order):
                # The key of a user's dimension may begin with a hyphen.
                is_descending = name.startswith("-") and name not in dimensions
                _sort(rows, name[is_descending:], is_descending=is_descending)
        names = [column.name for column in columns_of(query)]
        values = [[row[name] for name in names] for row in rows[: query.limit]]
        return make_table(query, values, notes=journals.notes, reading=journals.reading)

    def journals(self, run: str) -> list[Path]:
        """Return the journal files with records of a run or step, and of the runs below it."""
        self._load()
        conditions = run_condition(run)
        return [
            file.path
            for file, journals in self._loaded.items()
            if any(_matches(record, condition) for record in journals.records for condition in conditions)
        ]

    def query(self, kql: str) -> Table:
        """Raise UsageError, because the packages that run KQL are not installed."""
        raise UsageError(KQL_NEEDS)

    def _load(self) -> AllJournals:
        """Return the content of all files. Changed files are read again. A record in two files counts once."""
        leftovers = Leftovers()
        files = discovery.find_files(self._places, leftovers=leftovers)
        known = {file: journals for file, journals in self._loaded.items() if not journals.unread}
        loaded = self._loaded = {file: known.get(file) or _read(file, self._places) for file in files}
        records: dict[object, python_rows.PythonRecord] = {}
        # The files of this user come first, and their records count.
        for file, journals in sorted(loaded.items(), key=lambda item: item[0].rank):
            for record in journals.records:
                records.setdefault(record.values["record_id"] or (file.path, len(records)), record)
        problems = filter(None, map(manifest_problem, discovery.find_compacted_folders(self._places)))
        compacted = _compacted_notes(self._count_compacted())
        unread = [*leftovers.unread, *problems, *(note for one in loaded.values() for note in one.unread)]
        foreign = [
            file.path for file, journals in loaded.items() if file.rank == FOREIGN and journals.records
        ]
        torn = sum(journals.torn for journals in loaded.values())
        damaged = {file.source or file.path: one.damaged for file, one in loaded.items() if one.damaged}
        notes = (*reading_notes(torn, [*unread, *leftovers.left_out], foreign, damaged), *compacted)
        with_records = [file.source or file.path for file, journals in loaded.items() if journals.records]
        empty = [place for place in self._places if not any(is_below(path, place) for path in with_records)]
        ignored = () if records else leftovers.describe_ignored()
        unread += [*damage_notes(damaged), *compacted]
        reading = Reading(bool(records), tuple(unread), ignored, tuple(map(str, empty)))
        return AllJournals(list(records.values()), notes, reading)

    def _count_compacted(self) -> int:
        """Return the number of records that are only in Parquet files, which this store cannot read."""
        sources = (
            (folder.parent / source.name, source.entry)
            for folder in discovery.find_compacted_folders(self._places)
            for batch in read_batches(folder)
            for source in batch.sources
        )
        deleted = {path: entry for path, entry in sources if not os.path.exists(path)}
        return sum(group.records for entry in deleted.values() for group in entry.groups)


def _read(file: discovery.FoundFile, places: Iterable[Path]) -> LoadedJournals:
    records, invalid, is_whole, path = list[python_rows.PythonRecord](), 0, True, file.path
    try:
        with other_formats.open_for_reading(path) as opened:
            while line := opened.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    note = f"{path}: has a line of more than {MAX_LINE_BYTES:,} bytes"
                    return LoadedJournals([], unread=(note,))
                is_whole = line.endswith(b"\n")
                if not line.strip():
                    continue
                record = python_rows.to_record(envelope.decode_line(line))
                invalid += record is None
                records += [record] if record else []
    except OSError as error:
        return LoadedJournals([], unread=(f"{path}: {error.strerror or error}",))
    if not records and not discovery.is_reportable(file.source or path, places):
        return LoadedJournals(records)
    torn = int(bool(invalid) and not is_whole and file.source is None)
    return LoadedJournals(records, torn, invalid - torn)


def _compacted_notes(compacted: int) -> tuple[str, ...]:
    if not compacted:
        return ()
    count = "1 record" if compacted == 1 else f"{compacted} records"
    return (f"{count} of compacted runs left out, which only DuckDB reads: pip install 'amllog[insights]'",)


def _value(record: python_rows.PythonRecord, column: str | Dimension | Alias) -> Any:
    if isinstance(column, Dimension):
        return record.dimensions.get(column.key, "")
    return record.values[column.column if isinstance(column, Alias) else column]


def _matches(record: python_rows.PythonRecord, condition: Condition) -> bool:
    if isinstance(condition, Equals):
        values = (_value(record, column) for column in condition.columns)
        return any((value in condition.values) != condition.negated for value in values)
    if isinstance(condition, Holds):
        return bool(record.values[condition.column])
    if isinstance(condition, AtLeast):
        severity = DEFAULT_SEVERITIES.get(record.table) if record.severity is None else record.severity
        return record.table in DEFAULT_SEVERITIES and severity is not None and severity >= condition.severity
    assert isinstance(condition, Contains)
    return any(condition.text.lower() in text.lower() for text in record.searched)


def _sort_records(records: list[python_rows.PythonRecord], order: Sequence[str]) -> None:
    """Sort by time. Records of the same time are in the order of the hexadecimal numbers in their ids."""
    if order in (("timestamp",), ("-timestamp",)):
        records.sort(
            key=lambda record: (record.time, len(record.values["record_id"]), record.values["record_id"]),
            reverse=order == ("-timestamp",),
        )


def _sort(rows: list[Row], column: str, *, is_descending: bool) -> None:
    rows.sort(
        key=lambda row: (row[column] is not None, row[column] or _smallest(row[column])),
        reverse=is_descending,
    )


def _smallest(value: Any) -> Any:
    return "" if isinstance(value, str) else _MIN_TIME if isinstance(value, datetime) else 0
