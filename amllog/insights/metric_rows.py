"""Run metrics that are more than one number, unfolded: a row for each number in a list, a row or a table.

In: rows of metrics from any store. Out: the same table with their numbers. It is done here and not by the engines, so
that each gives the same rows; the query only finds the records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from amllog.insights.query import cell_types
from amllog.insights.query.result import Column, Row, Table

DATA = "run_metric_data"
_BEGIN = '{"columns":'  # of the data of several numbers; calls such as tags have other data


def record_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the records in which metrics of these names can be: `eval.loss` may be a column of `eval`."""
    found = dict.fromkeys(names)
    for name in names:
        found.update(dict.fromkeys(name[:at] for at, one in enumerate(name) if one == "." and at))
    return tuple(found)


def unfold(found: Table, names: Sequence[str] = ()) -> Table:
    """Rows of metrics, each number in a row of its own; only those of `names`, of a record or of a column in it.

    A column of a row or a table is named `<metric>.<column>`; numbers of a list have its name. Where the record says
    no step, `step` counts the rows of this metric of one process, in the order of the answer, from 0. Texts have no
    row, save for what stands for a number that JSON has none for.
    """
    counted: dict[tuple[str, ...], int] = {}
    rows = tuple(one for row in found for one in _rows(row, counted))
    wanted = frozenset(names)
    kept = tuple(new for old, new in rows if not wanted or {old, new["name"]} & wanted)
    damaged = sum(map(_is_damaged, found))
    answer = replace(found, rows=kept)
    if not damaged:
        return answer
    metrics = "1 run metric" if damaged == 1 else f"{damaged} run metrics"
    return answer.noting(f"{metrics} left out: the data cannot be read")


def last_text(row: Row) -> str:
    """The last text in a record in which no number is; "" where there is none."""
    data = _data(row["dimensions"])
    found = [cell for values in data["rows"] for cell in values if isinstance(cell, str)] if data else []
    return found[-1] if found else ""


def summarize_series(metrics: Table) -> Table:
    """Return one row per step and metric: the number of values, the first, the last, the minimum and the maximum."""
    series: dict[tuple[str, str], list[float]] = {}
    for row in metrics:
        if row["value"] is not None:
            series.setdefault((row["step_name"], row["name"]), []).append(row["value"])
    bounds = dict.fromkeys(("first", "last", "min", "max"), "real")
    kinds = {"step_name": "text", "name": "text", "values": "int", **bounds}
    rows = [(*key, len(values), values[0], values[-1], *_bounds(values)) for key, values in series.items()]
    return Table.of([Column(*pair) for pair in kinds.items()], rows, notes=metrics.notes)


def _bounds(values: list[float]) -> tuple[float, float]:
    """Return the minimum and the maximum. NaN compares with no number, so it counts only if every value is NaN."""
    numbers = [value for value in values if not math.isnan(value)] or values
    return min(numbers), max(numbers)


def _rows(row: Row, counted: dict[tuple[str, ...], int]) -> Iterator[tuple[str, Row]]:
    """A row as it is, or what is folded in it; each with the name of its record."""
    name, data = row["name"], _data(row["dimensions"])
    if row["value"] is not None or DATA not in row["dimensions"]:
        yield name, row
        return
    if data is None:
        return
    plain = {key: text for key, text in row["dimensions"].items() if key != DATA}
    step = row["step"] if row["step"] is not None else cell_types.to_integer(data.get("step"))
    key = (row["parent_run_id"], row["step_id"], plain.get("record_id", "").partition("-")[0], name)
    for values in data["rows"]:
        at = None if _is_scalar(name, data) else counted.get(key, 0)
        counted[key] = counted.get(key, 0) + (at is not None)
        for column, value in _numbers(data["columns"], values):
            own = name if column == name else f"{name}.{column}"
            new = {"name": own, "value": value, "step": at if step is None else step, "dimensions": plain}
            yield name, {**row, **new}


def _is_damaged(row: Row) -> bool:
    """Whether a row is one of several numbers, and they cannot be read."""
    dimensions = row["dimensions"]
    is_folded = row["value"] is None and dimensions.get(DATA, "").startswith(_BEGIN)
    return is_folded and _data(dimensions) is None


def _is_scalar(name: str, data: Mapping[str, Any]) -> bool:
    """Whether it is one value that is no finite number; those are metrics of their own."""
    return [*data["columns"]] == [name] and len(data["rows"]) == 1 and isinstance(data["rows"][0][0], str)


def _data(dimensions: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What a record of several numbers holds; None for any other record, and where it cannot be read."""
    data = cell_types.load_json(dimensions.get(DATA, ""))
    try:
        fits = all(isinstance(one, list) and len(one) == len(data["columns"]) for one in data["rows"])
        return data if fits and isinstance(data["columns"], Mapping) else None
    except (KeyError, TypeError):
        return None


def _numbers(columns: Mapping[str, str], values: Iterable[Any]) -> Iterator[tuple[str, float]]:
    """The cells that are numbers; NaN and infinities stand as texts in a column of numbers."""
    for (column, kind), value in zip(columns.items(), values):
        is_number = kind in ("int", "double", "float") and not isinstance(value, bool)
        number = cell_types.to_real(value) if is_number else None
        if number is not None:
            yield column, number
