"""Metrics as series: a row for each metric of a step.

In: the rows of `metrics`. Out: a table: how many values, the first, the last, and between which they lie.
"""

from __future__ import annotations

import math

from amllog.insights.query.result import Column, Table

_BOUNDS = ("first", "last", "min", "max")


def of(found: Table) -> Table:
    """A row per metric of a step: how many values, the first, the last, and between which they lie."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in found:
        if row["value"] is not None:
            values.setdefault((row["step_name"], row["name"]), []).append(row["value"])
    kinds = {"step_name": "text", "name": "text", "values": "int", **dict.fromkeys(_BOUNDS, "real")}
    rows = [(*key, len(one), one[0], one[-1], *_bounds(one)) for key, one in values.items()]
    return Table.of([Column(*pair) for pair in kinds.items()], rows, notes=found.notes)


def _bounds(values: list[float]) -> tuple[float, float]:
    """The least and the greatest number; NaN, beside which nothing is less or greater, only where there is no other."""
    numbers = [value for value in values if not math.isnan(value)] or values
    return min(numbers), max(numbers)
