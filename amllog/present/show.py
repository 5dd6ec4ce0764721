"""How answers look: tables, lines of a log, JSON; colour only where a person watches.

In: rows as dicts, an account. Out: text on stdout (the answer) or stderr (notices), in which no text of a record can
move a terminal's cursor or pass for a line of its own.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from amllog.insights import wording
from amllog.insights.table import Table
from amllog.insights.wording import block, clock, count, span, visible

__all__ = ["answer", "as_csv", "as_json", "block", "cell", "clock", "colours", "count", "harmless", "line", "notice",
           "paint", "silence", "span", "table", "visible"]  # fmt: skip

GREY, BLUE, GREEN, YELLOW, RED, BOLD = "90", "34", "32", "33", "31", "1"
_ACTING = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # json.dumps escapes those below
_LEVELS = {"DEBUG": BLUE, "INFO": GREEN, "WARNING": YELLOW, "ERROR": RED, "CRITICAL": "1;31"}


def colours(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colour, unless NO_COLOR or CLICOLOR=0, FORCE_COLOR or CLICOLOR_FORCE
    say otherwise: the first of these that is there."""
    said = os.environ.get
    if said("NO_COLOR"):
        return False
    if any(said(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and said("TERM") != "dumb" and said("CLICOLOR") != "0"


def paint(text: str, code: str) -> str:
    """`text` in a colour, on a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and colours(sys.stdout) else text


def notice(text: str, who: str = "amllog") -> None:
    """Something beside the answer: ids and messages of others may be in it."""
    print(f"{who}: {block(text, '  ').lstrip()}", file=sys.stderr)


def silence() -> None:
    """The reader has enough: what is still printed, also by Python at its end, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answer(text: str) -> None:
    """The answer, or a part of it."""
    print(text)


def as_json(value: object) -> str:
    """Strict JSON: a number that JSON cannot write becomes its name."""
    return harmless(json.dumps(_strict(value), ensure_ascii=False, indent=2, default=str))


def harmless(text: str) -> str:
    """JSON in which nothing that a terminal would act upon stands as it is; whoever parses it gets the same."""
    return _ACTING.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def as_csv(found: Table, *, head: bool = True) -> str:
    """A table as CSV, with a head unless it had one: times as ISO 8601, dimensions as JSON; as it is, but for a
    terminal."""
    rows = ([_in_cell(one) for one in row.values()] for row in json.loads(found.to_json()))
    text = "\n".join(map(_csv_line, (found.names, *rows) if head else rows))
    return block(text, "") if sys.stdout.isatty() else text


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
    if isinstance(value, datetime):
        return wording.clock(value)
    if isinstance(value, Mapping):
        return wording.pairs(value).strip()
    if isinstance(value, float):
        return f"{value:.6g}"
    return visible(str(value))


def line(row: Mapping[str, Any]) -> str:
    """A row of logs as a line, its stack below; in colour on a terminal."""
    return wording.line(
        row, lambda text, what: paint(text, _LEVELS.get(what, "" if what == "INFO" else GREY))
    )


def _in_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _csv_line(values: Iterable[object]) -> str:
    """With the line end that CSV prescribes: without it, Python before 3.13 does not quote a lone carriage return."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()[:-2]


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
