"""Print tables, log lines, JSON, CSV and notices.

The answer goes to stdout and notices go to stderr. Output passes through `_write`, which escapes control characters,
so that no record, name or argument can move the cursor or forge a line. Our own colours are written as a random mark
that no record can contain, and `_write` replaces the mark. Only CSV for other programs is written unescaped.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import secrets
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

from amllog.cli.time_zones import in_zone
from amllog.insights.query.cell_types import duration_text
from amllog.insights.reports import rendering
from amllog.record.line_format import LEVEL_COLOURS, LEVEL_NAMES
from amllog.record.text import escape_controls, escape_json_controls

if TYPE_CHECKING:
    from amllog.insights.query.result import Row, Table

GREY, GREEN, YELLOW, RED = "90", "32", "33", "31"
_MARK = f"\x1b{secrets.token_hex(8)}["  # the beginning of a colour in strings that are not written yet
_COLOUR = re.compile(re.escape(_MARK) + r"([\d;]+)m")
_CLEAR_LINE = "\r\x1b[K"
_LEVELS = dict(zip(reversed(LEVEL_NAMES), LEVEL_COLOURS.values()))


def uses_colour(stream: TextIO) -> bool:
    """Return whether output to `stream` is coloured.

    The first of these that is set decides: NO_COLOR, FORCE_COLOR or CLICOLOR_FORCE, then CLICOLOR=0 and TERM=dumb.
    Without them, a terminal is coloured.
    """
    get = os.environ.get
    if get("NO_COLOR"):
        return False
    if any(get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and get("TERM") != "dumb" and get("CLICOLOR") != "0"


def paint(text: str, code: str) -> str:
    """Return `text` in a colour if stdout is coloured."""
    return f"{_MARK}{code}m{text}{_MARK}0m" if code and uses_colour(sys.stdout) else text


def print_answer(text: str) -> None:
    """Print the answer, or a part of it, to stdout."""
    _write(sys.stdout, f"{text}\n")


def print_notice(text: str, command: str = "amllog") -> None:
    """Print a notice to stderr. It may contain ids and messages of records."""
    _write(sys.stderr, f"{escape_controls(command)}: {rendering.indent_lines(text, '  ').lstrip()}\n")


def print_message(text: str, stream: TextIO) -> None:
    """Print a message of the argument parser: usage, help or an error."""
    _write(stream, text)


def overwrite_line(text: str, stream: TextIO) -> None:
    """Replace the current line of the terminal. "" clears it."""
    stream.write(_CLEAR_LINE)
    _write(stream, text)
    stream.flush()


def discard_stdout() -> None:
    """Send the rest of stdout to the null device, because its reader has closed the pipe.

    Python flushes stdout at its end and would report the broken pipe again.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def has_no_reader(error: OSError) -> bool:
    """Return whether the pipe (`| head`) or the terminal of a stream is closed."""
    return isinstance(error, BrokenPipeError) or error.errno == errno.EIO


def discard_if_unread(stream: TextIO) -> None:
    """Send the rest of a stream without a reader to the null device. Python's flush at its end would fail, too."""
    try:
        stream.flush()
    except OSError as error:
        if not has_no_reader(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_table(
    options: Namespace, table: Table, columns: tuple[str, ...], nothing: str = "nothing found"
) -> None:
    """Print a table as JSON or CSV with all its columns, or else aligned with only `columns`."""
    if options.json:
        print_answer(escape_json_controls(table.to_json(indent=2)))
    elif options.csv:
        print_csv(table)
    elif table:
        print_answer(format_table([in_zone(options, row) for row in table], columns))
    print_notes(bool(table), table.notes, nothing if table.reading.has_records else "")


def print_lines(options: Namespace, table: Table, nothing: str = "nothing found") -> None:
    """Print rows of logs as lines, or as JSON or CSV."""
    if options.json or options.csv:
        print_table(options, table, table.names, nothing)
        return
    for row in table:
        print_answer(format_line(in_zone(options, row)))
    print_notes(bool(table), table.notes, nothing if table.reading.has_records else "")


def print_row(options: Namespace, row: Row) -> None:
    """Print one row of logs and flush it. JSON and CSV (without a header) have one line for it."""
    from amllog.insights.query.result import Column, Table  # slow to import, and `amllog run` needs no table

    table = Table(tuple(map(Column, row)), (row,))
    if options.json:
        print_answer(escape_json_controls(table.to_json()[1:-1]))
    elif options.csv:
        print_csv(table, header=False)
    else:
        print_answer(format_line(in_zone(options, row)))
    sys.stdout.flush()  # also into a pipe: a reader may wait for this row


def print_notes(is_found: bool, notes: tuple[str, ...], nothing: str = "nothing found") -> None:
    """Print the notes of an answer, and `nothing` if it has no rows and that is not empty."""
    for note in notes if is_found or not nothing else (*notes, nothing):
        print_notice(note)


def notes_without_limit(table: Table) -> tuple[str, ...]:
    """Return the notes of a table except the one about its limit, for queries whose limit the user did not set."""
    return tuple(note for note in table.notes if not note.startswith("the limit of"))


def print_csv(table: Table, *, header: bool = True) -> None:
    """Print a table as CSV: times as ISO 8601, dimensions as JSON.

    Other programs get every character. On a terminal, control characters and line feeds in a cell are escaped.
    """
    rows = ([_csv_cell(value) for value in row.values()] for row in json.loads(table.to_json()))
    lines = (table.names, *rows) if header else rows
    if sys.stdout.isatty():
        lines = (
            [escape_controls(value) if isinstance(value, str) else value for value in line] for line in lines
        )
    text = "\n".join(map(_csv_line, lines))
    sys.stdout.write(f"{text}\n")


def to_json(value: object) -> str:
    """Return strict JSON. NaN and infinities, which JSON does not have, are written as strings."""
    return escape_json_controls(json.dumps(_strict(value), ensure_ascii=False, indent=2, default=str))


def format_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows in aligned columns under their names. Numbers are aligned to the right, and no cell is cut."""
    cells = [[format_cell(row.get(name)) for name in columns] for row in rows]
    names = [escape_controls(name) for name in columns]
    widths = [max(map(len, column)) for column in zip(names, *cells)]
    is_right = [all(_is_number(row.get(name)) for row in rows) for name in columns]
    header = paint(_aligned(names, widths, is_right), GREY)
    return "\n".join([header, *(_aligned(line, widths, is_right) for line in cells)])


def format_cell(value: object) -> str:
    """Return a value as it is shown in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return rendering.format_time(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, list):
        return escape_controls(json.dumps(value, ensure_ascii=False, default=str))
    if isinstance(value, Mapping):
        return rendering.dimension_pairs(value).strip()
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape_controls(str(value))


def format_line(row: Mapping[str, Any]) -> str:
    """Return a row of logs as a line, with its stack below."""
    return rendering.render_line(row, lambda text, part: paint(text, _LEVELS.get(part, GREY)))


def _write(stream: TextIO, text: str) -> None:
    """Write `text` with control characters escaped, and with our own colours as terminal codes."""
    parts = _COLOUR.split(text)  # strings and colour codes alternate
    stream.write(
        "".join(
            f"\x1b[{part}m" if index % 2 else rendering.escape_lines(part) for index, part in enumerate(parts)
        )
    )


def _csv_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _csv_line(values: Iterable[object]) -> str:
    """Return one line of CSV without its end.

    It is written with the line end of the CSV standard and cut, because Python before 3.13 does not quote a single
    carriage return otherwise.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()[:-2]


def _aligned(cells: Iterable[str], widths: Sequence[int], is_right: Sequence[bool]) -> str:
    parts = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(cells, widths, is_right)
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
