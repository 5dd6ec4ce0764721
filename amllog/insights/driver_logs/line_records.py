"""Find the record of a line that amllog wrote to a driver log.

A line has the time of its record to the millisecond, its level, its logger and its message. The lines of a file are
almost in the order of their records, so a window over the records is enough. Each record belongs to one line.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from amllog.insights.query.result import Row
from amllog.record.line_format import LEVEL_NAMES
from amllog.record.text import CONTROLS, escape_character

_LEVEL = "|".join(LEVEL_NAMES)
_PLAIN = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d\.\d{3})Z (\w+(?: \d+)?) +(\S.*)", re.DOTALL)
_CONSOLE = re.compile(rf"()(\d\d:\d\d:\d\d\.\d{{3}}) ({_LEVEL}) +(\S.*)", re.DOTALL)
_CONTROLS = re.compile(f"(?!\t)[{CONTROLS}]")
_ONE_DAY = timedelta(days=1)
_WITH_LINES = ("trace", "exception", "customEvent")  # the types of records that the driver log shows
MAX_MESSAGE = 2_000  # characters that are compared
MAX_KEPT = 50_000  # records in the window
SLACK = timedelta(seconds=30)  # between the times of two lines in the wrong order


class OurLine(NamedTuple):
    """A line in a format of amllog's driver log. `date` is "" in lines for terminals. `text`: logger and message."""

    date: str
    time: str
    level: str
    text: str


def parse_line(line: str) -> OurLine | None:
    """Return the parts of a line that amllog wrote in one of its formats, or None."""
    if line.startswith('{"time"'):
        return _parse_json(line)
    match = _PLAIN.match(line) or _CONSOLE.match(line)
    return OurLine(*match.groups()) if match and ":" in match[4] else None


def _parse_json(line: str) -> OurLine | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    time, level, logger, message = (values.get(name) for name in ("time", "level", "logger", "message"))
    if not (isinstance(time, str) and isinstance(level, str) and isinstance(message, str)):
        return None
    return OurLine(time[:10], time[11:23], level, f"{_first_line(str(logger))}: {_first_line(message)}")


class RecordWindow:
    """The records around the present line. `rows` are all records in time order, and are read as far as needed."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = (row for row in rows if row["itemType"] in _WITH_LINES)
        self._next = next(self._rows, None)
        self._read: deque[tuple[datetime, str]] = deque()  # the times of records in the window
        self._by_time: dict[str, list[Row]] = {}
        self._last: datetime | None = self._next["timestamp"] if self._next else None

    def take(self, line: OurLine) -> Row | None:
        """Return the record of a line, which no further line gets. None if no record fits."""
        time = self._instant(line)
        if time is None:
            return None
        self._advance(time)
        candidates = self._by_time.get(line.time, [])
        row = next((row for row in candidates if _fits(row, line)), None)
        if row is not None:
            self._keep(line.time, [other for other in candidates if other is not row])
            self._last = row["timestamp"]
        return row

    def _instant(self, line: OurLine) -> datetime | None:
        """Return the end of the line's millisecond. A time without a date is the one nearest to the last record."""
        if self._last is None:
            return None
        try:
            time = datetime.fromisoformat(f"{line.date or self._last.date()}T{line.time}")
        except ValueError:
            return None
        time = time.replace(tzinfo=timezone.utc) + timedelta(microseconds=999)
        if line.date:
            return time
        last = self._last
        return min((time - _ONE_DAY, time, time + _ONE_DAY), key=lambda instant: abs(instant - last))

    def _advance(self, time: datetime) -> None:
        """Read the records up to a time, and forget those long before it."""
        while self._next is not None and self._next["timestamp"] <= time:
            key = self._next["timestamp"].strftime("%H:%M:%S.%f")[:12]
            self._read.append((self._next["timestamp"], key))
            self._by_time.setdefault(key, []).append(self._next)
            self._next = next(self._rows, None)
            self._forget(time)
        self._forget(time)

    def _forget(self, time: datetime) -> None:
        begin = time - SLACK
        while self._read and (self._read[0][0] < begin or len(self._read) > MAX_KEPT):
            last, key = self._read.popleft()
            self._keep(key, [row for row in self._by_time.get(key, ()) if row["timestamp"] > last])

    def _keep(self, key: str, rows: list[Row]) -> None:
        """Set the records of a millisecond that have no line yet."""
        if rows:
            self._by_time[key] = rows
        else:
            self._by_time.pop(key, None)


def _fits(row: Row, line: OurLine) -> bool:
    """Return whether the line is the one of this record. Dimensions follow its message after two spaces."""
    message = row["message"][:MAX_MESSAGE]
    text = f"{_first_line(row['logger'])}: {_first_line(message)}"
    is_same_date = not line.date or line.date == row["timestamp"].strftime("%Y-%m-%d")
    if not is_same_date or not line.text.startswith(text):
        return False
    rest = line.text[len(text) :]
    is_whole = not rest or rest.startswith("  ") or len(message) == MAX_MESSAGE
    return is_whole and line.level in (row["level"], row["dimensions"].get("level"))


def _first_line(text: str) -> str:
    """Return the first line of a text as the driver log writes it."""
    line = text.replace("\r\n", "\n").partition("\n")[0]
    return _CONTROLS.sub(lambda match: escape_character(match.group()), line)
