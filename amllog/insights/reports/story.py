"""The story of a run: its steps, and the record that explains how it ended.

`story_builder` collects the data. Here they become text, HTML and JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amllog.insights.query.result import Column, Row, Table, preformatted_html
from amllog.insights.reports import rendering
from amllog.record.line_format import quoted_value
from amllog.record.text import escape_controls

_MAX_METRICS = 12  # per step in the text. The table has all.


@dataclass(frozen=True, repr=False)
class Story:
    """The report of one run.

    * `steps`: the table of `Questions.steps`.
    * `failure`: the row that explains the failure (an exception, an error, or the failed step), or None.
    * `span`: the span that contains the failure, or None.
    * `around`: logs around the failure in its step, and earlier warnings of other steps (column `elsewhere`).
    * `metrics`: the last value of each metric.
    * `missing`: sentences about steps and records that are missing.
    * `next`: commands and addresses to look at next.
    """

    run: str
    state: str
    experiment_name: str
    began: datetime | None
    seconds: float | None
    steps: Table
    failure: Row | None
    span: Row | None
    around: Table
    metrics: Table
    missing: tuple[str, ...]
    next: tuple[str, ...]
    errors: int = 0

    @property
    def text(self) -> str:
        """The story as text."""
        return "\n".join(line for part in _parts(self) for line in part)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the story as one JSON object, with rows as in `Table.to_json`."""
        failure = None if self.failure is None else _as_json(self.around, self.failure)
        span = None if self.span is None else _as_json(self.around, self.span)
        tables = {name: json.loads(getattr(self, name).to_json()) for name in ("steps", "around", "metrics")}
        members = {
            "run": self.run,
            "state": self.state,
            "experiment_name": self.experiment_name,
            "began": rendering.format_time(self.began),
            "seconds": self.seconds,
            "errors": self.errors,
            "failure": failure,
            "span": span,
            **tables,
            "missing": self.missing,
            "next": self.next,
        }
        return json.dumps(members, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return the story for notebooks."""
        return preformatted_html(self.text)


def _parts(story: Story) -> list[list[str]]:
    head = [
        f"run {escape_controls(story.run)}"
        + (f" of {escape_controls(story.experiment_name)}" if story.experiment_name else ""),
        f"{story.state}; began {rendering.format_time(story.began)}, {rendering.format_duration(story.seconds)}"
        + (f", {rendering.pluralize(story.errors, 'error')}" if story.errors else ""),
    ]
    steps = ["", "steps", *(f"  {line}" for line in _step_lines(story.steps))]
    return [
        head,
        steps,
        _listed("missing", story.missing),
        _failure_lines(story),
        _metric_lines(story.metrics),
        _listed("next", story.next),
    ]


def _step_lines(steps: Table) -> list[str]:
    width = max(len(step_label(row)) for row in steps)
    return [
        f"{step_label(row):<{width}}  {row['state']:<6}  {rendering.format_time(row['began'])}  "
        f"{_step_duration(row):>10}  "
        + ", ".join(
            rendering.pluralize(row[noun], noun[:-1])
            for noun in ("records", "errors", "warnings")
            if row[noun]
        )
        for row in steps
    ]


def _step_duration(step: Row) -> str:
    seconds = step["duration_seconds"]
    return "no end" if seconds is None else rendering.format_duration(seconds)


def _failure_lines(story: Story) -> list[str]:
    lines = []
    if story.failure is not None:
        row = story.failure
        when = "" if row["itemType"] == "request" else f" at {rendering.format_time(row['timestamp'])}"
        lines += ["", f"failure in step {step_label(row)}{when}", f"  {rendering.summary(row)}"]
        if story.span is not None:
            lines.append(f"  in {rendering.summary(story.span)}")
        if row.get("stack"):
            lines.append(rendering.indent_lines(row["stack"]))
    if story.around:
        lines += ["", "logs around it" if story.failure is not None else "its last logs"]
        lines += [f"  {_around_line(row, story.failure)}" for row in story.around]
    return lines


def _around_line(row: Row, failure: Row | None) -> str:
    mark = "→" if failure is not None and _is_same(row, failure) else "*" if row["elsewhere"] else " "
    step = f" [{step_label(row)}]" if row["elsewhere"] else ""
    return f"{mark} {rendering.format_time(row['timestamp'])[11:]} {row['level']:<8}{step} {rendering.first_line(row)}"


def _metric_lines(metrics: Table) -> list[str]:
    if not metrics:
        return []
    by_step: dict[str, list[str]] = {}
    for row in metrics:
        last = rendering.format_number(row["last_value"]) or quoted_value(row["last_text"])
        by_step.setdefault(step_label(row), []).append(f"{escape_controls(row['name'])}={last}")
    lines = ["", "last values of metrics"]
    for step, values in by_step.items():
        more = f" and {len(values) - _MAX_METRICS} more" if len(values) > _MAX_METRICS else ""
        lines.append(f"  {step}: {', '.join(values[:_MAX_METRICS])}{more}")
    return lines


def _listed(title: str, lines: tuple[str, ...]) -> list[str]:
    return ["", title, *(f"  {escape_controls(line)}" for line in lines)] if lines else []


def step_label(row: Row) -> str:
    """Return the name of a step, or its id if it has no name."""
    return escape_controls(row["step_name"] or row["step_id"])


def _is_same(row: Row, other: Row) -> bool:
    return all(row[name] == other[name] for name in ("timestamp", "message", "step_id", "dimensions"))


def _as_json(table: Table, row: Row) -> Any:
    return json.loads(Table(tuple(Column(name) for name in row), (row,)).to_json())[0]
