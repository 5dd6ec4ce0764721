"""How answers look: tables, lines of a log, JSON; colour only where a person watches.

In: rows as dicts, an account. Out: text on stdout (the answer) or stderr (notices). All output of the commands leaves
through `_written`: it writes control characters out, whatever they come from, and knows our colours by a mark that
no record can contain.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from amllog.insights.query.result import Table
from amllog.insights.reports import rendering
from amllog.insights.reports.rendering import block, clock, count, span
from amllog.record.line_format import LEVEL_COLOURS
from amllog.record.text import escape_controls, escape_json_controls

__all__ = ["answer", "as_csv", "as_json", "block", "cell", "clock", "colours", "count", "line", "message",
           "notice", "overwrite", "paint", "printed", "put_csv", "silence", "span", "table"]  # fmt: skip

GREY, GREEN, YELLOW, RED, BOLD = "90", "32", "33", "31", "1"
_MARK = f"\x1b{secrets.token_hex(8)}["  # stands for the beginning of a colour until the text is written
_COLOUR = re.compile(re.escape(_MARK) + r"([\d;]+)m")
_CLEARED = "\r\x1b[K"
_LEVELS = dict(zip(("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"), LEVEL_COLOURS.values()))


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
    return f"{_MARK}{code}m{text}{_MARK}0m" if code and colours(sys.stdout) else text


def notice(text: str, who: str = "amllog") -> None:
    """Something beside the answer: ids and messages of others may be in it."""
    _written(sys.stderr, f"{escape_controls(who)}: {block(text, '  ').lstrip()}\n")


def message(text: str, stream: TextIO) -> None:
    """A message of the argument parser: usage, help, an error."""
    _written(stream, text)


def overwrite(text: str, stream: TextIO) -> None:
    """Replace the terminal's last line, as progress does; "" clears it."""
    stream.write(_CLEARED)
    _written(stream, text)
    stream.flush()


def silence() -> None:
    """The reader has enough: what is still printed, also by Python at its end, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answer(text: str) -> None:
    """The answer, or a part of it."""
    _written(sys.stdout, f"{text}\n")


def printed(text: str) -> str:
    """`text` as it is written: control characters written out, our own colours as a terminal knows them."""
    parts = _COLOUR.split(text)  # texts and codes in turns
    return "".join(f"\x1b[{one}m" if at % 2 else rendering.printable(one) for at, one in enumerate(parts))


def _written(stream: TextIO, text: str) -> None:
    stream.write(printed(text))


def as_json(value: object) -> str:
    """Strict JSON: a number that JSON cannot write becomes its name."""
    return escape_json_controls(json.dumps(_strict(value), ensure_ascii=False, indent=2, default=str))


def as_csv(found: Table, *, head: bool = True) -> str:
    """A table as CSV, with a head unless it had one: times as ISO 8601, dimensions as JSON; as it is, but for a
    terminal, where control characters and line feeds within a cell are written out."""
    rows = ([_in_cell(one) for one in row.values()] for row in json.loads(found.to_json()))
    lines = (found.names, *rows) if head else rows
    if sys.stdout.isatty():
        lines = ([escape_controls(one) if isinstance(one, str) else one for one in line] for line in lines)
    return "\n".join(map(_csv_line, lines))


def put_csv(text: str) -> None:
    """What `as_csv` made: a program that reads it gets every character."""
    sys.stdout.write(f"{text}\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under the names of their columns; numbers to the right, nothing cut."""
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    heads = [escape_controls(name) for name in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells)]
    right = [all(_is_number(row.get(name)) for row in rows) for name in columns]
    head = _aligned(heads, widths, right)
    return "\n".join([paint(head, GREY), *(_aligned(line, widths, right) for line in cells)])


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return rendering.clock(value)
    if isinstance(value, Mapping):
        return rendering.pairs(value).strip()
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape_controls(str(value))


def line(row: Mapping[str, Any]) -> str:
    """A row of logs as a line, its stack below; in colour on a terminal."""
    return rendering.line(
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
