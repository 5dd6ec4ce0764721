"""Format rows as single lines of plain text.

Control characters are escaped and further lines of a message are indented, so that no text of a user looks like
another line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from amllog.insights.query.columns import DIMENSION_COLUMNS
from amllog.record.line_format import quoted_value
from amllog.record.text import CONTROLS, escape_character, escape_controls

# From a string and its kind ("time", "step" or a level name) to a coloured string.
Paint = Callable[[str, str], str]

KINDS = {
    "trace": "log",
    "exception": "exception",
    "customMetric": "metric",
    "customEvent": "event",
    "request": "step",
    "dependency": "span",
}
# Dimensions about the place and the run of a record. The others are arguments of the log call.
CONTEXT_DIMENSIONS = frozenset((
    *DIMENSION_COLUMNS, "process", "module", "fileName", "lineNumber", "level", "node", "rank", "run_url",
    "root_run_id", "build_url", "build_version", "run_metric", "run_metric_data", "run_id",
))  # fmt: skip
# Dimensions that are also columns in records of these kinds.
_COLUMNS = {"exception": ("message",), "metric": ("step", "value")}
_CONTROLS_IN_LINES = re.compile(f"(?!\n)[{CONTROLS}]")


def escape_lines(text: str) -> str:
    """Return `text` with control characters escaped, except line feeds."""
    return _CONTROLS_IN_LINES.sub(lambda match: escape_character(match.group()), text)


def indent_lines(text: str, indent: str = "    ") -> str:
    """Return the lines of a stack or a long message, escaped and indented."""
    return "\n".join(indent + escape_controls(line) for line in text.splitlines())


def format_time(time: datetime | None) -> str:
    """Return a time to the millisecond, with `Z` or its offset from UTC. "" for None."""
    if time is None:
        return ""
    offset = time.utcoffset()
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + (time.strftime("%z") if offset else "Z")


def format_duration(seconds: float | None) -> str:
    """Return a duration such as `3 min 05 s`. "?" for None."""
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
    """Return a number and a noun, such as `1 line` or `2 lines`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_number(value: float | None) -> str:
    """Return a number with 6 significant digits. "" for None."""
    return "" if value is None else f"{value:.6g}"


def kind_of(row: Mapping[str, Any]) -> str:
    """Return log, exception, metric, event, step or span.

    A NaN metric is a customEvent in the service, because JSON has no number for it. Its kind is metric.
    """
    kind = KINDS.get(row["itemType"], escape_controls(row["itemType"]))
    return "metric" if kind == "event" and row["dimensions"].keys() >= {"run_metric_data", "value"} else kind


def call_dimensions(dimensions: Mapping[str, str], kind: str = "log") -> dict[str, str]:
    """Return the dimensions of the log call, without those of its context and those that are columns."""
    columns = _COLUMNS.get(kind, ())
    return {
        key: value
        for key, value in dimensions.items()
        if key not in CONTEXT_DIMENSIONS and key not in columns
    }


def dimension_pairs(dimensions: Mapping[str, str], kind: str = "log") -> str:
    """Return the dimensions of the log call as `key=value` pairs, each after two spaces."""
    values = call_dimensions(dimensions, kind)
    return "".join(f"  {escape_controls(key)}={quoted_value(value)}" for key, value in values.items())


def summary(row: Mapping[str, Any]) -> str:
    """Return the text of a row without its stack. Further lines of its message are indented below."""
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
        # A pipeline has a request of its own, without the id of a step.
        is_run = kind == "step" and not row.get("step_id") and row.get("logger") == "amllog"
        text = f"{'run' if is_run else kind} {text}: {_outcome(row)}"
    rest = "\n" + indent_lines("\n".join(more)) if more else ""
    return f"{text}{dimension_pairs(row['dimensions'], kind)}{rest}"


def first_line(row: Mapping[str, Any]) -> str:
    """Return the first line of `summary`."""
    return next(iter(summary(row).splitlines()), "")


def at_end(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the time at which a step or span ended. Its `timestamp` is the time at which it began."""
    seconds = row.get("duration_seconds") if row["itemType"] in ("request", "dependency") else None
    return {**row, "timestamp": add_seconds(row["timestamp"], seconds)}


def add_seconds(time: datetime, seconds: float | None) -> datetime:
    """Return the time after a duration in seconds. The same time if the result is out of the range of `datetime`."""
    try:
        return time + timedelta(seconds=seconds or 0)
    except (OverflowError, ValueError):
        return time


def render_line(row: Mapping[str, Any], paint: Paint = lambda text, _kind: text) -> str:
    """Return a row as a line with time, level and step. A stack follows on indented lines."""
    level = escape_controls(row.get("level", ""))
    head = f"{paint(format_time(row['timestamp']), 'time')} {paint(f'{level:<8}', level)} "
    text = f"{head}{paint(escape_controls(row['step_name']) + ':', 'step')} {summary(row)}"
    return f"{text}\n{indent_lines(row['stack'])}" if row.get("stack") else text


def exception_line(row: Mapping[str, Any]) -> str:
    """Return the message of an exception's row, with the type and the message of the exception, on one line."""
    return _with_exception(escape_controls(next(iter(row["message"].splitlines()), "")), row)


def exception_text(row: Mapping[str, Any]) -> str:
    """Return the type of an exception and the first line of its message.

    `outerMessage` begins with the message of the log call if it has both.
    """
    message, outer = row["message"], row.get("outerMessage") or ""
    text = outer[len(message) :].lstrip(": ") if message and outer.startswith(message) else outer
    first = next(iter(text.splitlines()), "")
    return ": ".join(part for part in (row.get("type", ""), first) if part)


def _with_exception(text: str, row: Mapping[str, Any]) -> str:
    """Append the type and the message of the exception, unless the text contains them.

    Both are in the last line of the stack that begins with the type.
    """
    kind = row.get("type", "")
    lines = [line for line in (row.get("stack") or "").splitlines() if kind and line.startswith(kind)]
    exception = escape_controls(lines[-1] if lines else exception_text(row))
    return text if not exception or exception in text else f"{text}: {exception}" if text else exception


def _outcome(row: Mapping[str, Any]) -> str:
    seconds = row.get("duration_seconds")
    after = "" if seconds is None else f" after {format_duration(seconds)}"
    if row.get("success") is False or (row.get("success") is None and row.get("level") == "ERROR"):
        code = escape_controls(row.get("resultCode") or "")
        return f"failed{f' ({code})' if code else ''}{after}"
    return f"done{after}"
