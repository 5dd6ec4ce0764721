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

from amllog.insights.query.result import Column, Row, Table
from amllog.insights.questions import Questions
from amllog.insights.reports import rendering
from amllog.insights.reports.message_patterns import KnownIds, message_pattern
from amllog.record.line_format import LEVEL_NAMES
from amllog.record.text import escape_controls

PARTS = ("steps", "metrics", "messages", "levels")
_SIDES = ("first", "second")
_FIGURES = (*_SIDES, "difference")
_TEXTS = ("first_text", "second_text")
_MORE = 0.1  # of a step's or metric's first value: from here on it is told in the text
_LISTED = 40
Patterns = dict[tuple[str, str, str], list[Row]]  # by level, step name and pattern


@dataclass(frozen=True, repr=False)
class Comparison:
    """`first` and `second` are ids.

    `steps`: step_name, first_state, second_state, first, second (seconds; None: no such step, or without an end),
    difference. `metrics`: step_name, name, first, second (last values), difference, first_text, second_text (where a
    metric is no number). `messages`: those of one run only:
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
        lines = [
            f"first   {escape_controls(self.first)}",
            f"second  {escape_controls(self.second)}",
        ]
        lines += _told("steps: seconds in the first, in the second, difference", self.steps)
        lines += _told("metrics: last values in the first, in the second, difference", self.metrics)
        lines += _told("logs and exceptions by level: in the first, in the second, difference", self.levels)
        lines += _messages(self.messages, self.steps)
        return "\n".join(lines)

    @property
    def table(self) -> Table:
        """All of it in one table, a row for each figure and message: part (step: seconds; metric: last values; level:
        how many; message: how often), step_name, name, first, second, difference, first_text, second_text (states of
        a step, a metric that is no number)."""
        rows: list[tuple[Any, ...]] = [
            ("step", row["step_name"], "", *map(row.get, _FIGURES), row["first_state"], row["second_state"])
            for row in self.steps
        ]
        rows += [("metric", *row.values()) for row in self.metrics]
        rows += [("level", "", row["level"], *map(row.get, _FIGURES), "", "") for row in self.levels]
        for row in self.messages:
            counts = (0, row["records"]) if row["change"] == "new" else (row["records"], 0)
            rows.append(("message", row["step_name"], row["message"], *counts, counts[1] - counts[0], "", ""))
        kinds = ("text", "text", "text", "real", "real", "real", "text", "text")
        names = ("part", "step_name", "name", *_FIGURES, *_TEXTS)
        return Table.of([Column(*pair) for pair in zip(names, kinds)], rows)

    def to_json(self, *, indent: int | None = None) -> str:
        """The ids and the tables as one object."""
        tables = {name: json.loads(getattr(self, name).to_json()) for name in PARTS}
        found = {"first": self.first, "second": self.second, **tables}
        return json.dumps(found, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """What notebooks show."""
        head = html.escape(escape_controls(f"{self.first} (first) and {self.second} (second)"))
        parts = (f"<h4>{name}</h4>{getattr(self, name)._repr_html_()}" for name in PARTS)
        return f"<p>{head}</p>{''.join(parts)}"


def compare(questions: Questions, first: str, second: str) -> Comparison:
    """The two runs; both are whole ids of runs or steps."""
    runs = (first, second)
    counted = [
        questions.count(run, by=("level", "step_name", "type", "message", "outerMessage")) for run in runs
    ]
    steps = [questions.steps(run) for run in runs]
    ids = {str(row[name]) for table in steps for row in table for name in ("parent_run_id", "step_id")}
    return Comparison(
        first,
        second,
        _steps(*steps),
        _metrics(*(questions.last_values(run) for run in runs)),
        _new_and_gone(*(_by_pattern(table, KnownIds(ids)) for table in counted)),
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
    columns = ("step_name", "name", *_SIDES, "difference", *_TEXTS)
    kinds = ("text", "text", "real", "real", "real", "text", "text")
    rows = []
    for (key, _nth), one, other in _paired(first, second, lambda row: (row["step_name"], row["name"])):
        values = [None if row is None else row["last_value"] for row in (one, other)]
        texts = ["" if row is None else row["last_text"] for row in (one, other)]
        rows.append((*key, *values, _difference(*values), *texts))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _new_and_gone(first: Patterns, second: Patterns) -> Table:
    columns = ("change", "level", "step_name", "pattern", "records", "message")
    kinds = ("text", "text", "text", "text", "int", "text")
    rows = []
    for change, own, other in (("new", second, first), ("gone", first, second)):
        found = [(key, rows_) for key, rows_ in own.items() if key not in other]
        found.sort(key=lambda item: (-LEVEL_NAMES.index(item[0][0]), item[0]))
        for (level, step, folded), rows_ in found:
            number = sum(row["records"] for row in rows_)
            rows.append((change, level, step, folded, number, _said(rows_[0])))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _by_pattern(counted: Table, ids: KnownIds) -> Patterns:
    found: Patterns = {}
    for row in counted:
        folded = message_pattern(_said(row), ids)
        found.setdefault((row["level"], row["step_name"], folded), []).append(row)
    return found


def _said(row: Row) -> str:
    """The message; an exception's own words with it, which tell one failure from another."""
    if not row["type"]:
        return str(row["message"])
    first = next(iter(row["message"].splitlines()), "")
    told = rendering.exception_text(row)
    return told if not first or told.endswith(first) else f"{first}: {told}"


def _levels(first: Table, second: Table) -> Table:
    rows = []
    for level in reversed(LEVEL_NAMES):
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
    names = [name for name in table.names if name not in (*_SIDES, *_TEXTS, "difference")]
    lines = [
        (
            *(escape_controls(str(row[name])) for name in names),
            *(escape_controls(row.get(text, "")) or _number(row[side]) for side, text in zip(_SIDES, _TEXTS)),
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
    return "–" if value is None else rendering.format_number(value)


def _change(row: Row) -> str:
    by, first = row["difference"], row["first"]
    if by is None or not by or by != by:
        return ""
    sign = f"{by:+.4g}"
    share = f" ({by / abs(first):+.0%})" if first and abs(by / first) >= _MORE else ""
    return sign + share


def _messages(messages: Table, steps: Table) -> list[str]:
    """Those of one run only; of a step that the other run has not, only warnings and errors."""
    lines = []
    for change, title, other in (("new", "only in the second", 0), ("gone", "only in the first", 1)):
        rows = [row for row in messages if row["change"] == change]
        there = {row["step_name"] for row in steps if row[f"{_SIDES[other]}_state"]}
        told = [row for row in rows if row["step_name"] in there or row["level"] not in ("INFO", "DEBUG")]
        lines += ["", f"messages {title}: {len(rows) or 'none'}"]
        for row in told[:_LISTED]:
            times = f"{row['records']} × " if row["records"] > 1 else ""
            level, step, pattern = (escape_controls(row[name]) for name in ("level", "step_name", "pattern"))
            lines.append(f"  {times}{level:<8} {step}: {pattern}")
        if len(told) > _LISTED:
            lines.append(f"  … and {len(told) - _LISTED} more: .messages has all")
        if len(rows) > len(told):
            absent = ", ".join(
                dict.fromkeys(
                    escape_controls(row["step_name"]) for row in rows if row["step_name"] not in there
                )
            )
            lines.append(f"  {len(rows) - len(told)} of steps that the {_SIDES[other]} run has not: {absent}")
    return lines
