"""The local store without DuckDB: journals read line by line, questions answered in Python.

In: directories with journals. Out: the same tables as the local store gives. Reads everything for each question: for
journals of up to some ten thousand records, where only the base is installed.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from amllog.errors import UsageError
from amllog.insights.query.columns import DEFAULT_SEVERITIES
from amllog.insights.query.query import (
    AtLeast,
    Condition,
    Contains,
    Dimension,
    Equals,
    Holds,
    Query,
    State,
    Summary,
    Total,
    column_name,
)
from amllog.insights.query.result import Table
from amllog.insights.stores.local import discovery, other_formats, python_rows
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.manifest import manifest_problem, read_batches
from amllog.insights.stores.local.ownership import FOREIGN
from amllog.insights.stores.store import answered, columns_of, left_out
from amllog.record import envelope

_COMPARED: dict[str, Callable[[Any, Any], bool]] = {">": operator.gt, "<": operator.lt}
KQL_NEEDS = (
    "free KQL on journals needs DuckDB and duckdb-kql: pip install 'amllog[insights]' (Python 3.11 or newer)"
)
_LEAST = datetime.min.replace(tzinfo=timezone.utc)
Row = dict[str, Any]


class LoadedJournals(NamedTuple):
    """The content of the files: records, the number of lines that are no record, why files could not be read, and the
    files of other users."""

    records: list[python_rows.Record]
    torn: int
    unread: tuple[str, ...] = ()
    foreign: tuple[Path, ...] = ()


class PythonStore:
    """Reads files, and `*.jsonl` in and below directories; those that appear later too."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(places)
        self._read: dict[discovery.FoundFile, LoadedJournals] = {}

    def answer(self, query: Query) -> Table:
        """The query's rows."""
        now = datetime.now(timezone.utc)
        held = self._held()
        since = now - query.since if isinstance(query.since, timedelta) else query.since
        kept = [
            one
            for one in held.records
            if one.table in query.tables
            and (since is None or one.time >= since)
            and (query.until is None or one.time < query.until)
            and all(_holds(one, condition) for condition in query.conditions)
        ]
        if not query.summaries:
            _sort_records(kept, query.order)
        rows = [{column_name(column): _value(one, column) for column in query.columns} for one in kept]
        for summary in query.summaries:
            rows = _summed(summary, rows)
        if query.summaries or query.order not in (("timestamp",), ("-timestamp",)):
            keys = {one.key for one in query.columns if isinstance(one, Dimension)}
            for name in reversed(query.order):
                falls = name.startswith("-") and name not in keys  # a user's key may begin like that
                _sort(rows, name[falls:], falls=falls)
        names = [column.name for column in columns_of(query)]
        told = [[row[name] for name in names] for row in rows[: query.limit]]
        return answered(query, told, notes=_notes(held, self._only_compacted()))

    def journals(self, run: str) -> list[Path]:
        """The journal files that hold records of a run or step."""
        self._held()
        names, known = ("parent_run_id", "step_id"), self._read
        return [file.path for file, held in known.items()
                if any(one.values[name] == run for one in held.records for name in names)]  # fmt: skip

    def query(self, kql: str) -> Table:
        """UsageError: what runs KQL on journals is not installed."""
        raise UsageError(KQL_NEEDS)

    def _held(self) -> LoadedJournals:
        """What all files hold; a file is read again when it has changed. A record in two files counts once."""
        left: list[str] = []
        there = discovery.find_files(self._places, skipped=left)
        known = {file: held for file, held in self._read.items() if not held.unread}
        found = self._read = {file: known.get(file) or _read(file.path, self._places) for file in there}
        records: dict[object, python_rows.Record] = {}
        for file, held in sorted(found.items(), key=lambda item: item[0].rank):  # this user's come first
            for one in held.records:
                records.setdefault(one.values["record_id"] or (file.path, len(records)), one)
        left += filter(None, map(manifest_problem, discovery.find_compacted_folders(self._places)))
        unread = (*left, *(reason for held in found.values() for reason in held.unread))
        foreign = tuple(file.path for file, held in found.items() if file.rank == FOREIGN and held.records)
        return LoadedJournals(
            list(records.values()), sum(held.torn for held in found.values()), unread, foreign
        )

    def _only_compacted(self) -> int:
        """How many records stand in compacted runs whose journal files are gone: Parquet is not for this store."""
        sources = (
            (folder.parent / one.name, one.entry)
            for folder in discovery.find_compacted_folders(self._places)
            for batch in read_batches(folder)
            for one in batch.sources
        )
        gone = {path: entry for path, entry in sources if not os.path.exists(path)}
        return sum(part.records for entry in gone.values() for part in entry.groups)


def _read(path: Path, places: Iterable[Path]) -> LoadedJournals:
    found, torn = [], 0
    try:
        with other_formats.open_for_reading(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    return LoadedJournals(
                        [], 0, (f"{path}: has a line of more than {MAX_LINE_BYTES:,} bytes",)
                    )
                if not line.strip():
                    continue
                one = python_rows.to_record(envelope.decode_line(line))
                torn += one is None
                found += [one] if one else []
    except OSError as error:
        return LoadedJournals([], 0, (str(error),))
    return LoadedJournals(found, torn if found or discovery.is_reportable(path, places) else 0)


def _notes(held: LoadedJournals, compacted: int) -> tuple[str, ...]:
    notes = left_out(held.torn, held.unread, held.foreign)
    if not compacted:
        return notes
    records = "1 record" if compacted == 1 else f"{compacted} records"
    return (
        *notes,
        f"{records} of compacted runs left out, which only DuckDB reads: pip install 'amllog[insights]'",
    )


def _value(one: python_rows.Record, column: str | Dimension) -> Any:
    if isinstance(column, Dimension):
        return one.dimensions.get(column.key, "")
    return one.values[column]


def _holds(one: python_rows.Record, condition: Condition) -> bool:
    if isinstance(condition, Equals):
        return any((_value(one, of) in condition.values) != condition.negated for of in condition.columns)
    if isinstance(condition, Holds):
        return bool(one.values[condition.column])
    if isinstance(condition, AtLeast):
        severity = DEFAULT_SEVERITIES.get(one.table) if one.severity is None else one.severity
        return one.table in DEFAULT_SEVERITIES and severity is not None and severity >= condition.severity
    assert isinstance(condition, Contains)
    return any(condition.text.lower() in text.lower() for text in one.searched)


def _sort_records(records: list[python_rows.Record], order: Sequence[str]) -> None:
    """By time; records of one instant as they were written: the numbers in their ids are hexadecimal."""
    if order in (("timestamp",), ("-timestamp",)):
        records.sort(
            key=lambda one: (one.time, len(one.values["record_id"]), one.values["record_id"]),
            reverse=order == ("-timestamp",),
        )


def _sort(rows: list[Row], column: str, *, falls: bool) -> None:
    rows.sort(key=lambda row: (row[column] is not None, row[column] or _least(row[column])), reverse=falls)


def _least(value: Any) -> Any:
    return "" if isinstance(value, str) else _LEAST if isinstance(value, datetime) else 0


def _summed(summary: Summary, rows: Iterable[Row]) -> list[Row]:
    by = [column_name(column) for column in summary.by]
    groups: dict[tuple[Any, ...], list[Row]] = {} if by else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    found = []
    for key, own in groups.items():
        made = {**dict(zip(by, key)), **{total.name: _total(total, own) for total in summary.totals}}
        found.append({**made, **{state.name: _state(state, made) for state in summary.states}})
    return found


def _total(total: Total, rows: Sequence[Row]) -> Any:
    if total.function == "count":
        return len(rows)
    if total.function == "countif":
        return sum(_true(total.argument, row) for row in rows)
    if total.function == "last":
        latest = [row for row in rows if row[total.argument] is not None]
        return max(latest, key=lambda row: row["timestamp"])[total.argument] if latest else None
    values = [row[total.argument] for row in rows if row[total.argument] is not None]
    if not values:
        return None
    return sum(values) if total.function == "sum" else (min if total.function == "min" else max)(values)


def _state(state: State, row: Mapping[str, Any]) -> str:
    return next((text for test, text in state.cases if _true(test, row)), state.otherwise)


def _true(test: str, row: Mapping[str, Any]) -> bool:
    """A bool column, or a comparison such as `failed > 0` or `ended < steps`."""
    name, _, rest = test.partition(" ")
    if not rest:
        return bool(row[name])
    sign, other = rest.split()
    return _COMPARED[sign](row[name], int(other) if other.isdigit() else row[other])
