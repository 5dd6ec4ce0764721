"""How rows read: one line each, as plain text, in which nothing passes for another line.

In: rows of any question. Out: text. Control characters are written out, further lines of a message are indented.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from amllog.insights.query.columns import DIMENSION_COLUMNS
from amllog.record.line_format import quoted_value
from amllog.record.text import (
    CONTROLS,
    escape_character,
    escape_controls,
)

Paint = Callable[[str, str], str]  # a text, and what it is: "time", "step", or a level's name

KINDS = {
    "trace": "log", "exception": "exception", "customMetric": "metric", "customEvent": "event",
    "request": "step", "dependency": "span",
}  # fmt: skip
# Dimensions that tell where and by whom a record was written, not what its call said.
CONTEXT_DIMENSIONS = frozenset((
    *DIMENSION_COLUMNS, "process", "module", "fileName", "lineNumber", "level", "node", "rank", "run_url",
    "root_run_id", "build_url", "build_version", "run_metric", "run_metric_data", "run_id",
))  # fmt: skip
# In records of some kinds, what stands in a column of its own.
_SHOWN_ELSEWHERE = {"exception": ("message",), "metric": ("step", "value")}
_SEVERAL_LINES = re.compile(f"(?!\n)[{CONTROLS}]")


def printable(text: str) -> str:
    """`text` with control characters written out, except for its line feeds."""
    return _SEVERAL_LINES.sub(lambda match: escape_character(match.group()), text)


def indent_lines(text: str, indent: str = "    ") -> str:
    """Lines of a stack or a long message, each indented."""
    return "\n".join(indent + escape_controls(line) for line in text.splitlines())


def format_time(time: datetime | None) -> str:
    """A time to the millisecond, in UTC."""
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def format_duration(seconds: float | None) -> str:
    """A duration as a person says it."""
    if seconds is None:
        return "?"
    if not math.isfinite(seconds):
        return f"{seconds} s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.3f} s" if seconds >= 0.001 else "<1 ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def pluralize(number: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_number(value: float | None) -> str:
    """A number as far as it tells."""
    return "" if value is None else f"{value:.6g}"


def kind_of(row: Mapping[str, Any]) -> str:
    """log, exception, metric, event, step or span; a metric for which JSON has no number is an event at the service."""
    kind = KINDS.get(row["itemType"], escape_controls(row["itemType"]))
    return "metric" if kind == "event" and row["dimensions"].keys() >= {"run_metric_data", "value"} else kind


def call_dimensions(dimensions: Mapping[str, str], kind: str = "log") -> dict[str, str]:
    """The dimensions of the call itself: without those that tell where and by whom it was made."""
    told = _SHOWN_ELSEWHERE.get(kind, ())
    return {
        key: value for key, value in dimensions.items() if key not in CONTEXT_DIMENSIONS and key not in told
    }


def dimension_pairs(dimensions: Mapping[str, str], kind: str = "log") -> str:
    """Its own dimensions, `key=value` each."""
    return "".join(
        f"  {escape_controls(key)}={quoted_value(value)}"
        for key, value in call_dimensions(dimensions, kind).items()
    )


def summary(row: Mapping[str, Any]) -> str:
    """What a row says, in one line and without its stack; further lines of its message below."""
    first, *more = row["message"].splitlines() or [""]
    text, kind = escape_controls(first), kind_of(row)
    if kind == "exception":
        text = _with_exception(text, row)
    elif kind == "metric":
        text += f" = {format_number(row.get('value'))}"
        text += "" if row.get("step") is None else f"  step={row['step']}"
    elif kind == "event":
        text = f"event: {text}"
    elif kind in ("step", "span"):
        text = f"{kind} {text}: {_outcome(row)}"
    rest = "\n" + indent_lines("\n".join(more)) if more else ""
    return f"{text}{dimension_pairs(row['dimensions'], kind)}{rest}"


def first_line(row: Mapping[str, Any]) -> str:
    """The first line of the text of a row, or "" for an empty message."""
    return next(iter(summary(row).splitlines()), "")


def at_end(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row at the time at which it was known: a step's end, which its `timestamp` is not."""
    seconds = row.get("duration_seconds") if row["itemType"] in ("request", "dependency") else None
    return {**row, "timestamp": add_seconds(row["timestamp"], seconds)}


def add_seconds(time: datetime, seconds: float | None) -> datetime:
    """The time after a duration in seconds. The same time if the result is beyond the calendar of `datetime`."""
    try:
        return time + timedelta(seconds=seconds or 0)
    except (OverflowError, ValueError):
        return time


def render_line(row: Mapping[str, Any], paint: Paint = lambda text, _what: text) -> str:
    """A row as a line of a log, its stack below."""
    level = escape_controls(row.get("level", ""))
    head = f"{paint(format_time(row['timestamp']), 'time')} {paint(f'{level:<8}', level)} "
    text = f"{head}{paint(escape_controls(row['step_name']) + ':', 'step')} {summary(row)}"
    return f"{text}\n{indent_lines(row['stack'])}" if row.get("stack") else text


def _with_exception(text: str, row: Mapping[str, Any]) -> str:
    """The error's own words, where the message has them not: as its stack ends."""
    kind = row.get("type", "")
    lines = [line for line in (row.get("stack") or "").splitlines() if kind and line.startswith(kind)]
    told = escape_controls(lines[-1] if lines else exception_text(row))
    return text if not told or told in text else f"{text}: {told}" if text else told


def exception_line(row: Mapping[str, Any]) -> str:
    """What an exception's row says, in one line."""
    return _with_exception(escape_controls(next(iter(row["message"].splitlines()), "")), row)


def exception_text(row: Mapping[str, Any]) -> str:
    """An exception's type and its own first line, where `outerMessage` has more than what the call said."""
    said, outer = row["message"], row.get("outerMessage") or ""
    words = outer[len(said) :].lstrip(": ") if said and outer.startswith(said) else outer
    first = next(iter(words.splitlines()), "")
    return ": ".join(one for one in (row.get("type", ""), first) if one)


def _outcome(row: Mapping[str, Any]) -> str:
    seconds = row.get("duration_seconds")
    after = "" if seconds is None else f" after {format_duration(seconds)}"
    if row.get("success") is False or (row.get("success") is None and row.get("level") == "ERROR"):
        code = escape_controls(row.get("resultCode") or "")
        return f"failed{f' ({code})' if code else ''}{after}"
    return f"done{after}"
