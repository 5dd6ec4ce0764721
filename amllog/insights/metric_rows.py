"""Expand list, row and table metrics into one row per number, and summarize series of numbers.

`log.run` writes a list, a row or a table of numbers as one record. The rows are expanded here and not by the engines,
so that every store returns the same rows. A query only selects the records.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from amllog.insights.query import cell_types
from amllog.insights.query.result import Column, Row, Table
from amllog.insights.query.selections import METRIC_KEY

DATA = "run_metric_data"
# The column of a summary with the name of a run below the step, and the dimensions that it is from.
RUN, _RUN_ID, _RUN_NAME = "run", "run_id", "run_name"
_RANDOM_ID, _SHORT_ID = re.compile(r"[0-9a-f-]{32,36}"), 8
_PREFIX = '{"columns":'  # of the data of several numbers. Calls such as tags have other data.


def record_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the records that can contain metrics of these names.

    `eval.loss` may be a column of the record `eval`.
    """
    candidates = dict.fromkeys(names)
    for name in names:
        candidates.update(dict.fromkeys(name[:index] for index, c in enumerate(name) if c == "." and index))
    return tuple(candidates)


def unfold(metrics: Table, names: Sequence[str] = ()) -> Table:
    """Return metrics with one row per number. With `names`, only these records or columns of records.

    A column of a row or a table is named `<metric>.<column>`. The numbers of a list have the name of the metric. If a
    record has no step, `step` counts the rows of this metric and process from 0, in the order of the answer. Strings
    are left out, except the names of NaN and the infinities.
    """
    counts: dict[tuple[str, ...], int] = {}
    pairs = tuple(pair for row in metrics for pair in _unfold_row(row, counts))
    wanted = frozenset(names)
    rows = tuple(row for record, row in pairs if not wanted or {record, row["name"]} & wanted)
    table = replace(metrics, rows=rows)
    damaged = sum(map(_is_damaged, metrics))
    if not damaged:
        return table
    count = "1 run metric" if damaged == 1 else f"{damaged} run metrics"
    return table.noting(f"{count} left out: the data cannot be read")


def last_text(row: Row) -> str:
    """Return the last string in a record that contains no number, or ""."""
    data = _data(row["dimensions"])
    strings = [cell for values in data["rows"] for cell in values if isinstance(cell, str)] if data else []
    return strings[-1] if strings else ""


def with_folded(single: Table, folded: Table) -> Table:
    """Return the last values of single numbers (`Questions.last_metrics`) and of the records in `folded`.

    The additional column last_text is the value of a metric that is not a number.
    """
    last = {tuple(row[name] for name in METRIC_KEY): {**row, "last_text": ""} for row in single}
    for row in folded:
        _add_last(last, row, unfold(replace(folded, rows=(row,))))
    rows = sorted(last.values(), key=lambda row: (row["step_name"], row["name"], row["step_id"]))
    return replace(
        single,
        columns=(*single.columns, Column("last_text", "text")),
        rows=tuple(rows),
        notes=tuple(dict.fromkeys((*single.notes, *folded.notes))),
    )


def summarize_series(metrics: Table) -> Table:
    """Return one row per step, run and metric: the number of values, the first, the last, the minimum and the maximum.

    The column `run` is present if a metric belongs to a run below its step: a child run, or a run of MLflow.
    """
    series: dict[tuple[str, ...], list[float]] = {}
    names = run_names(metrics)
    for row in metrics:
        if row["value"] is not None:
            run = [names.get(row["dimensions"].get(_RUN_ID, ""), "")] if names else []
            series.setdefault((row["step_name"], *run, row["name"]), []).append(row["value"])
    bounds = dict.fromkeys(("first", "last", "min", "max"), "real")
    keys = dict.fromkeys(("step_name", *([RUN] if names else []), "name"), "text")
    kinds = {**keys, "values": "int", **bounds}
    rows = [(*key, len(values), values[0], values[-1], *_bounds(values)) for key, values in series.items()]
    return Table.of(
        [Column(*pair) for pair in kinds.items()], rows, notes=metrics.notes, reading=metrics.reading
    )


def with_runs(metrics: Table) -> Table:
    """Return metrics with the column `run`, if one of them belongs to a run below its step."""
    names = run_names(metrics)
    if not names:
        return metrics
    rows = tuple({**row, RUN: names.get(row["dimensions"].get(_RUN_ID, ""), "")} for row in metrics)
    return replace(metrics, columns=(*metrics.columns, Column(RUN, "text")), rows=rows)


def run_names(metrics: Table) -> dict[str, str]:
    """Return a short and unique name of each run that is not its step, by run id."""
    names: dict[str, str] = {}
    for row in metrics:
        run_id, step_id = row["dimensions"].get(_RUN_ID, ""), row["step_id"]
        if run_id and run_id != step_id:
            is_parent = run_id == row["parent_run_id"]
            below = f"{step_id}."  # the id of a child run begins with it
            rest = run_id.removeprefix(below)
            short = "parent run" if is_parent else _short_id(rest)
            names[run_id] = row["dimensions"].get(_RUN_NAME) or names.get(run_id) or short
    counts = Counter(names.values())
    return {
        run_id: name if counts[name] == 1 else f"{name} ({_short_id(run_id)})"
        for run_id, name in names.items()
    }


def _short_id(run_id: str) -> str:
    """Return the beginning of an id of random digits, as those of MLflow and of child runs are. Others stay."""
    return run_id[:_SHORT_ID] if _RANDOM_ID.fullmatch(run_id) else run_id


def _bounds(values: list[float]) -> tuple[float, float]:
    """Return the minimum and the maximum. NaN compares with no number, so it counts only if every value is NaN."""
    numbers = [value for value in values if not math.isnan(value)] or values
    return min(numbers), max(numbers)


def _add_last(last: dict[tuple[str, ...], Row], record: Row, numbers: Table) -> None:
    """Add each number of a record of several values, or its last string if it has no number."""
    text = "" if numbers else last_text(record)
    for row in numbers or (record,):
        key = tuple(row[name] for name in METRIC_KEY)
        new = {"records": 0, "last_value": None, "last_seen": record["timestamp"], "last_text": ""}
        known = last.setdefault(key, {**dict(zip(METRIC_KEY, key)), **new})
        known["records"] += 1
        if record["timestamp"] >= known["last_seen"]:
            known.update(last_seen=record["timestamp"], last_value=row["value"], last_text=text)


def _unfold_row(row: Row, counts: dict[tuple[str, ...], int]) -> Iterator[tuple[str, Row]]:
    """Yield a row unchanged, or one row per number in it. Each comes with the name of its record."""
    name, data = row["name"], _data(row["dimensions"])
    if row["value"] is not None or DATA not in row["dimensions"]:
        yield name, row
        return
    if data is None:
        return
    dimensions = {key: value for key, value in row["dimensions"].items() if key != DATA}
    step = row["step"] if row["step"] is not None else cell_types.to_integer(data.get("step"))
    process = dimensions.get("record_id", "").partition("-")[0]
    key = (row["parent_run_id"], row["step_id"], dimensions.get(_RUN_ID, ""), process, name)
    for values in data["rows"]:
        index = None if _is_scalar(name, data) else counts.get(key, 0)
        counts[key] = counts.get(key, 0) + (index is not None)
        for column, value in _numbers(data["columns"], values):
            metric = name if column == name else f"{name}.{column}"
            number = {"name": metric, "value": value, "step": index if step is None else step}
            yield name, {**row, **number, "dimensions": dimensions}


def _is_damaged(row: Row) -> bool:
    """Return whether a row has several numbers that cannot be read."""
    dimensions = row["dimensions"]
    is_folded = row["value"] is None and dimensions.get(DATA, "").startswith(_PREFIX)
    return is_folded and _data(dimensions) is None


def _is_scalar(name: str, data: Mapping[str, Any]) -> bool:
    """Return whether the data are one NaN or infinity, which is a single number and not a list."""
    return [*data["columns"]] == [name] and len(data["rows"]) == 1 and isinstance(data["rows"][0][0], str)


def _data(dimensions: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the data of a record of several numbers. None for other records and if the data cannot be read."""
    data = cell_types.load_json(dimensions.get(DATA, ""))
    try:
        fits = all(isinstance(row, list) and len(row) == len(data["columns"]) for row in data["rows"])
        return data if fits and isinstance(data["columns"], Mapping) else None
    except (KeyError, TypeError):
        return None


def _numbers(columns: Mapping[str, str], values: Iterable[Any]) -> Iterator[tuple[str, float]]:
    """Yield the cells that are numbers. NaN and infinities are strings in a column of numbers."""
    for (column, kind), value in zip(columns.items(), values):
        is_number = kind in ("int", "double", "float") and not isinstance(value, bool)
        number = cell_types.to_real(value) if is_number else None
        if number is not None:
            yield column, number
