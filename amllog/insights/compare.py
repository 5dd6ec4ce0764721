"""Two runs side by side: what took longer, which numbers differ, which messages are new or gone.

In: the questions over any store, two ids. Out: a `Comparison` of tables; its columns `first` and `second` are the two
runs, in the order in which they were given.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from amllog.insights import wording
from amllog.insights.columns import SEVERITIES
from amllog.insights.patterns import pattern
from amllog.insights.records import Records
from amllog.insights.table import Column, Row, Table

PARTS = ("steps", "metrics", "messages", "levels")
_SIDES = ("first", "second")
_MORE = 0.1  # of a step's or metric's first value: from here on it is told in the text
_LISTED = 40


@dataclass(frozen=True, repr=False)
class Comparison:
    """`first` and `second` are ids.

    `steps`: step_name, first_state, second_state, first, second (seconds; None: no such step, or without an end),
    difference. `metrics`: step_name, name, first, second (last values), difference. `messages`: those of one run only:
    change (new: only in the second; gone: only in the first), level, step_name, pattern, records, message (one of
    them). `levels`: level, first, second (how many logs and exceptions), difference.
    """

    first: str
    second: str
    steps: Table
    metrics: Table
    messages: Table
    levels: Table

    @property
    def text(self) -> str:
        """All of it as text; messages beyond the first are told as a number."""
        lines = [f"first   {self.first}", f"second  {self.second}"]
        lines += _told("steps, seconds", self.steps)
        lines += _told("metrics, last values", self.metrics)
        lines += _told("logs and exceptions by level", self.levels)
        lines += _messages(self.messages)
        return "\n".join(lines)

    def to_json(self, *, indent: int | None = None) -> str:
        """The ids and the tables as one object."""
        tables = {name: json.loads(getattr(self, name).to_json()) for name in PARTS}
        found = {"first": self.first, "second": self.second, **tables}
        return json.dumps(found, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """What notebooks show."""
        head = html.escape(f"{self.first} (first) and {self.second} (second)")
        parts = (f"<h4>{name}</h4>{getattr(self, name)._repr_html_()}" for name in PARTS)
        return f"<p>{head}</p>{''.join(parts)}"


def compare(questions: Records, first: str, second: str) -> Comparison:
    """The two runs; both are whole ids of runs or steps."""
    ids = (first, second)
    counted = [questions.count(one, by=("level", "step_name", "type", "message")) for one in ids]
    return Comparison(
        first,
        second,
        _steps(*(questions.steps(one) for one in ids)),
        _metrics(*(questions.last_metrics(one) for one in ids)),
        _new_and_gone(*counted),
        _levels(*counted),
    )


def _steps(first: Table, second: Table) -> Table:
    columns = ("step_name", "first_state", "second_state", *_SIDES, "difference")
    kinds = ("text", "text", "text", "real", "real", "real")
    rows = []
    for (name, _nth), one, other in _paired(first, second, lambda row: row["step_name"] or row["step_id"]):
        seconds = [None if row is None else row["duration_seconds"] for row in (one, other)]
        states = ["" if row is None else row["state"] for row in (one, other)]
        rows.append((name, *states, *seconds, _difference(*seconds)))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows, notes=first.notes + second.notes)


def _metrics(first: Table, second: Table) -> Table:
    columns = ("step_name", "name", *_SIDES, "difference")
    kinds = ("text", "text", "real", "real", "real")
    rows = []
    for (key, _nth), one, other in _paired(first, second, lambda row: (row["step_name"], row["name"])):
        values = [None if row is None else row["last_value"] for row in (one, other)]
        rows.append((*key, *values, _difference(*values)))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _new_and_gone(first: Table, second: Table) -> Table:
    sides = [_by_pattern(table) for table in (first, second)]
    columns = ("change", "level", "step_name", "pattern", "records", "message")
    kinds = ("text", "text", "text", "text", "int", "text")
    rows = []
    for change, own, other in (("new", sides[1], sides[0]), ("gone", sides[0], sides[1])):
        found = [(key, rows_) for key, rows_ in own.items() if key not in other]
        found.sort(key=lambda item: (-SEVERITIES.index(item[0][0]), item[0]))
        for (level, step, folded), rows_ in found:
            number = sum(row["records"] for row in rows_)
            rows.append((change, level, step, folded, number, rows_[0]["message"]))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _by_pattern(counted: Table) -> dict[tuple[str, str, str], list[Row]]:
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in counted:
        folded = pattern(f"{row['type']}: {row['message']}" if row["type"] else row["message"])
        found.setdefault((row["level"], row["step_name"], folded), []).append(row)
    return found


def _levels(first: Table, second: Table) -> Table:
    rows = []
    for level in reversed(SEVERITIES):
        numbers = [sum(row["records"] for row in side if row["level"] == level) for side in (first, second)]
        if any(numbers):
            rows.append((level, *numbers, numbers[1] - numbers[0]))
    return Table.of(
        [Column("level", "text"), *(Column(name, "int") for name in (*_SIDES, "difference"))], rows
    )


def _paired(
    first: Iterable[Row], second: Iterable[Row], key: Callable[[Row], Any]
) -> list[tuple[Any, Row | None, Row | None]]:
    """Rows of both by key; the second of one name in one run goes with the second in the other."""
    found: dict[tuple[Any, int], list[Row | None]] = {}
    for side, rows in enumerate((first, second)):
        times: dict[Any, int] = {}
        for row in rows:
            nth = times[key(row)] = times.get(key(row), -1) + 1
            found.setdefault((key(row), nth), [None, None])[side] = row
    return [(at, one, other) for at, (one, other) in found.items()]


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def _told(title: str, table: Table) -> list[str]:
    """A table's rows; numbers that differ by a tenth or more are marked with their factor."""
    if not table:
        return []
    names = [name for name in table.names if name not in (*_SIDES, "difference")]
    lines = [
        (
            *(wording.visible(str(row[name])) for name in names),
            *(_number(row[side]) for side in _SIDES),
            _change(row),
        )
        for row in table
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    left = len(names)
    text = [
        "  " + "  ".join(f"{cell:<{width}}" if at < left else f"{cell:>{width}}" for at, (cell, width) in
                         enumerate(zip(line[:-1], widths))) + f"  {line[-1]}"
        for line in lines
    ]  # fmt: skip
    text = [line.rstrip() for line in text]
    return ["", title, *text]


def _number(value: float | None) -> str:
    return "–" if value is None else wording.number(value)


def _change(row: Row) -> str:
    by, first = row["difference"], row["first"]
    if by is None or not by or by != by:
        return ""
    sign = f"{by:+.4g}"
    share = f" ({by / abs(first):+.0%})" if first and abs(by / first) >= _MORE else ""
    return sign + share


def _messages(messages: Table) -> list[str]:
    lines = []
    for change, title in (("new", "only in the second"), ("gone", "only in the first")):
        rows = [row for row in messages if row["change"] == change]
        lines += ["", f"messages {title}: {len(rows) or 'none'}"]
        for row in rows[:_LISTED]:
            times = f"{row['records']} × " if row["records"] > 1 else ""
            lines.append(
                f"  {times}{row['level']:<8} {wording.visible(row['step_name'])}: {wording.visible(row['pattern'])}"
            )
        if len(rows) > _LISTED:
            lines.append(f"  … and {len(rows) - _LISTED} more: .messages has all")
    return lines
