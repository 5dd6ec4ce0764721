"""Compare two runs: durations of steps, last values of metrics, numbers of records, and messages of one run only.

The columns `first` and `second` are the two runs in the order of the arguments.
"""

from __future__ import annotations

import html
import json
import math
from collections import Counter
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
_RUNS = ("first", "second")
_FIGURES = (*_RUNS, "difference")
_TEXTS = ("first_text", "second_text")
_MIN_CHANGE = 0.1  # of the first value. From here on the text has the percentage.
_MAX_MESSAGES = 40  # of each kind in the text
Patterns = dict[tuple[str, str, str], list[Row]]  # by level, step name and pattern


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two runs side by side. `first` and `second` are their ids.

    * `steps`: step_name, first_state, second_state, first, second, difference. The values are seconds, and None for a
      step that does not exist or has not ended.
    * `metrics`: step_name, name, first, second, difference, first_text, second_text. The values are the last ones. A
      text is the value of a metric that is not a number.
    * `messages`: change, level, step_name, pattern, records, message. They are in one run only: the change is "new" for
      the second run and "gone" for the first. `message` is an example.
    * `levels`: level, first, second, difference. The values are numbers of logs and exceptions.
    """

    first: str
    second: str
    steps: Table
    metrics: Table
    messages: Table
    levels: Table

    @property
    def text(self) -> str:
        """The comparison as text, with at most 40 new and 40 gone messages."""
        lines = [
            f"first   {escape_controls(self.first)}",
            f"second  {escape_controls(self.second)}",
        ]
        lines += _table_lines("steps: seconds in the first, in the second, difference", self.steps)
        lines += _table_lines("metrics: last values in the first, in the second, difference", self.metrics)
        lines += _table_lines(
            "logs and exceptions by level: in the first, in the second, difference", self.levels
        )
        lines += _messages(self.messages, self.steps)
        return "\n".join(lines)

    @property
    def table(self) -> Table:
        """The comparison in one table, with one row per figure and message.

        The columns are part, step_name, name, first, second, difference, first_text and second_text. The values of the
        part "step" are seconds, of "metric" last values, of "level" and "message" numbers of records. A text is the
        state of a step or the value of a metric that is not a number.
        """
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
        """Return the ids and the tables as one JSON object."""
        tables = {name: json.loads(getattr(self, name).to_json()) for name in PARTS}
        members = {"first": self.first, "second": self.second, **tables}
        return json.dumps(members, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return the comparison for notebooks."""
        head = html.escape(escape_controls(f"{self.first} (first) and {self.second} (second)"))
        parts = (f"<h4>{name}</h4>{getattr(self, name)._repr_html_()}" for name in PARTS)
        return f"<p>{head}</p>{''.join(parts)}"


def compare(questions: Questions, first: str, second: str) -> Comparison:
    """Return the comparison of two runs or steps by their full ids."""
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
    columns = ("step_name", "first_state", "second_state", *_RUNS, "difference")
    kinds = ("text", "text", "text", "real", "real", "real")
    rows = []
    for (name, _number), *pair in _paired(first, second, lambda row: row["step_name"] or row["step_id"]):
        seconds = [None if row is None else row["duration_seconds"] for row in pair]
        states = ["" if row is None else row["state"] for row in pair]
        rows.append((name, *states, *seconds, _difference(*seconds)))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows, notes=first.notes + second.notes)


def _metrics(first: Table, second: Table) -> Table:
    columns = ("step_name", "name", *_RUNS, "difference", *_TEXTS)
    kinds = ("text", "text", "real", "real", "real", "text", "text")
    rows = []
    for (key, _number), *pair in _paired(first, second, lambda row: (row["step_name"], row["name"])):
        values = [None if row is None else row["last_value"] for row in pair]
        texts = ["" if row is None else row["last_text"] for row in pair]
        rows.append((*key, *values, _difference(*values), *texts))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _new_and_gone(first: Patterns, second: Patterns) -> Table:
    columns = ("change", "level", "step_name", "pattern", "records", "message")
    kinds = ("text", "text", "text", "text", "int", "text")
    rows = []
    for change, messages, others in (("new", second, first), ("gone", first, second)):
        only = [(key, rows_) for key, rows_ in messages.items() if key not in others]
        only.sort(key=lambda item: (-LEVEL_NAMES.index(item[0][0]), item[0]))
        for (level, step, pattern), rows_ in only:
            number = sum(row["records"] for row in rows_)
            rows.append((change, level, step, pattern, number, _message(rows_[0])))
    return Table.of([Column(*pair) for pair in zip(columns, kinds)], rows)


def _by_pattern(counts: Table, ids: KnownIds) -> Patterns:
    patterns: Patterns = {}
    for row in counts:
        key = (row["level"], row["step_name"], message_pattern(_message(row), ids))
        patterns.setdefault(key, []).append(row)
    return patterns


def _message(row: Row) -> str:
    """Return the message of a record, with the type and the message of its exception if it has one.

    These distinguish failures whose log calls have the same message.
    """
    if not row["type"]:
        return str(row["message"])
    first = next(iter(row["message"].splitlines()), "")
    exception = rendering.exception_text(row)
    return exception if not first or exception.endswith(first) else f"{first}: {exception}"


def _levels(first: Table, second: Table) -> Table:
    rows = []
    for level in reversed(LEVEL_NAMES):
        numbers = [sum(row["records"] for row in side if row["level"] == level) for side in (first, second)]
        if any(numbers):
            rows.append((level, *numbers, numbers[1] - numbers[0]))
    return Table.of(
        [Column("level", "text"), *(Column(name, "int") for name in (*_RUNS, "difference"))], rows
    )


def _paired(
    first: Iterable[Row], second: Iterable[Row], key: Callable[[Row], Any]
) -> list[tuple[Any, Row | None, Row | None]]:
    """Return the rows of both tables by key. If a key repeats, its nth rows of both tables are a pair."""
    pairs: dict[tuple[Any, int], list[Row | None]] = {}
    for side, rows in enumerate((first, second)):
        counts: Counter[Any] = Counter()
        for row in rows:
            pairs.setdefault((key(row), counts[key(row)]), [None, None])[side] = row
            counts[key(row)] += 1
    return [(key_, pair[0], pair[1]) for key_, pair in pairs.items()]


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def _table_lines(title: str, table: Table) -> list[str]:
    """Return a table as aligned lines, with the difference and its percentage."""
    if not table:
        return []
    names = [name for name in table.names if name not in (*_FIGURES, *_TEXTS)]
    lines = [[*(escape_controls(str(row[name])) for name in names), *_values(row)] for row in table]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = []
    for line, row in zip(lines, table):
        cells = [
            f"{cell:<{width}}" if index < len(names) else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(line, widths))
        ]
        text.append("  ".join(["", *cells, _change(row)]).rstrip())
    return ["", title, *text]


def _values(row: Row) -> list[str]:
    """Return the values of both runs as strings."""
    return [escape_controls(row.get(text, "")) or _number(row[side]) for side, text in zip(_RUNS, _TEXTS)]


def _number(value: float | None) -> str:
    return "–" if value is None else rendering.format_number(value)


def _change(row: Row) -> str:
    """Return the difference, with its percentage if it is large enough. "" for no difference and for NaN."""
    difference, first = row["difference"], row["first"]
    if difference is None or not difference or math.isnan(difference):
        return ""
    is_large = first and abs(difference / first) >= _MIN_CHANGE
    return f"{difference:+.4g}" + (f" ({difference / abs(first):+.0%})" if is_large else "")


def _messages(messages: Table, steps: Table) -> list[str]:
    """Return the messages of one run only. In steps that the other run does not have, only warnings and errors."""
    lines = []
    for change, title, other in (("new", "only in the second", 0), ("gone", "only in the first", 1)):
        rows = [row for row in messages if row["change"] == change]
        common = {row["step_name"] for row in steps if row[f"{_RUNS[other]}_state"]}
        shown = [row for row in rows if row["step_name"] in common or row["level"] not in ("INFO", "DEBUG")]
        lines += ["", f"messages {title}: {len(rows) or 'none'}"]
        for row in shown[:_MAX_MESSAGES]:
            times = f"{row['records']} × " if row["records"] > 1 else ""
            level, step, pattern = (escape_controls(row[name]) for name in ("level", "step_name", "pattern"))
            lines.append(f"  {times}{level:<8} {step}: {pattern}")
        if len(shown) > _MAX_MESSAGES:
            lines.append(f"  … and {len(shown) - _MAX_MESSAGES} more: .messages has all")
        if len(rows) > len(shown):
            names = (row["step_name"] for row in rows if row["step_name"] not in common)
            absent = ", ".join(dict.fromkeys(map(escape_controls, names)))
            hidden = len(rows) - len(shown)
            lines.append(f"  {hidden} in steps that are not in the {_RUNS[other]} run: {absent}")
    return lines
