"""How answers look: tables, lines of a log, JSON; colour only where a person watches.

In: rows as dicts, an account. Out: text on stdout (the answer) or stderr (notices), in which no text of a record can
move a terminal's cursor or pass for a line of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from amllog.insights.journals import EVERYWHERE

GREY, BLUE, GREEN, YELLOW, RED, BOLD = "90", "34", "32", "33", "31", "1"
_LEVELS = {"DEBUG": BLUE, "INFO": GREEN, "WARNING": YELLOW, "ERROR": RED, "CRITICAL": "1;31"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def colours(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colour, and nobody said NO_COLOR."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def paint(text: str, code: str) -> str:
    """`text` in a colour, on a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and colours(sys.stdout) else text


def notice(text: str) -> None:
    """Something beside the answer."""
    print(f"amllog: {text}", file=sys.stderr)


def answer(text: str) -> None:
    """The answer, or a part of it."""
    print(text)


def as_json(value: object) -> str:
    """Strict JSON: a number that JSON cannot write becomes its name."""
    return json.dumps(_strict(value), ensure_ascii=False, indent=2, default=str)


def as_json_line(value: object) -> str:
    """The same on one line."""
    return json.dumps(_strict(value), ensure_ascii=False, default=str)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under the names of their columns; numbers to the right, nothing cut."""
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells)]
    right = [all(_is_number(row.get(name)) for row in rows) for name in columns]
    head = _aligned(columns, widths, right)
    return "\n".join([paint(head, GREY), *(_aligned(line, widths, right) for line in cells)])


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return visible(str(value))


def visible(text: str) -> str:
    """`text` on one line, with control characters written out."""
    return _CONTROL.sub(lambda match: _escaped(match.group()), text)


def block(text: str, indent: str = "    ") -> str:
    """Lines of a stack or a long message, each indented."""
    return "\n".join(indent + visible(line) for line in text.splitlines())


def clock(time: str) -> str:
    """A record's time to the millisecond."""
    return visible(f"{time[:23]}Z" if time.endswith("Z") and len(time) > 23 else time)


def span(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def said(row: Mapping[str, Any]) -> str:
    """What a row says, in one line and without its stack."""
    kind = row["kind"]
    if kind in ("log", "exception"):
        first, *more = row["message"].splitlines() or [""]
        rest = "\n" + block("\n".join(more)) if more else ""
        return f"{visible(first)}{_pairs(row['dimensions'])}{rest}"
    if kind == "metric":
        at = "" if row["step"] is None else f"  step={row['step']}"
        return f"{visible(row['name'])} = {row['value']:.6g}{at}{_pairs(row['dimensions'])}"
    if kind == "event":
        return f"event: {visible(row['name'])}{_pairs(row['dimensions'])}"
    outcome = "done" if row["success"] else f"failed ({visible(row['result'])})"
    return f"{kind} {visible(row['name'])}: {outcome} after {span(row['duration_seconds'])}{_pairs(row['dimensions'])}"


def line(row: Mapping[str, Any]) -> str:
    """A row as a line of a log, its stack below."""
    level = row.get("level", "") or ("" if row.get("success", True) else "ERROR")
    head = f"{paint(clock(row['time']), GREY)} {paint(f'{level:<8}', _LEVELS.get(level, ''))} "
    text = f"{head}{paint(visible(row['step_name']) + ':', GREY)} {said(row)}"
    return f"{text}\n{block(row['stack'])}" if row.get("stack") else text


def count(number: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _pairs(dimensions: Mapping[str, str]) -> str:
    own = ((key, value) for key, value in dimensions.items() if key not in EVERYWHERE)
    return "".join(f"  {visible(key)}={_quoted(value)}" for key, value in own)


def _quoted(value: str) -> str:
    if value and not any(character in value for character in " \t\n\r\"'="):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False))


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def _aligned(cells: Iterable[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(cells, widths, right)
    ]
    return "  ".join(parts).rstrip()


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value
