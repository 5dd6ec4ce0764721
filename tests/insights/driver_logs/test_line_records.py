"""The records of the lines that amllog wrote."""

from __future__ import annotations

import contextlib
import io
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.exporters.driver_log import DriverLog, Line
from amllog.insights.driver_logs.line_records import RecordWindow, parse_line
from amllog.insights.driver_logs.log_reading import read_lines
from amllog.record.envelope import format_timestamp
from amllog.record.line_format import LEVEL_NAMES

BEGIN = datetime(2026, 11, 30, 23, 59, 59, 500000, tzinfo=timezone.utc).timestamp()
LEVELS = {name: 10 * number for number, name in enumerate(LEVEL_NAMES, 1)}


def record(
    seconds: float, message: str, level: str = "INFO", logger: str = "train", **more: Any
) -> dict[str, Any]:
    """Return a row of a record."""
    seconds += BEGIN
    time = datetime.fromisoformat(format_timestamp(seconds)[:-1]).replace(tzinfo=timezone.utc)
    row = {
        "seconds": seconds,
        "timestamp": time,
        "message": message,
        "level": level,
        "logger": logger,
        "itemType": "trace",
    }
    return {**row, "dimensions": {"level": level, **more}}


def written(rows: list[dict[str, Any]], form: str) -> list[str]:
    """Return the lines that the driver log writes for these records, as they are read from a file."""
    log, stream = DriverLog(form, 0, {}), io.StringIO()
    with contextlib.redirect_stdout(stream):
        for row in rows:
            level, seconds = row["level"], row["seconds"]
            log.write(Line(seconds, LEVELS[level], level, row["logger"], row["message"], row["dimensions"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "std_log.txt")
        path.write_bytes(stream.getvalue().encode("utf-8", "replace"))
        return list(read_lines(path))


def joined(lines: list[str], rows: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Return the record of each line in our format."""
    window = RecordWindow(iter(rows))
    return [window.take(ours) for ours in map(parse_line, lines) if ours is not None]


WORDS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
ROWS = st.lists(
    st.builds(
        record, st.floats(0, 2), WORDS, st.sampled_from(LEVEL_NAMES), st.sampled_from(["train", "a.b"])
    ),
    max_size=4,
)


@pytest.mark.parametrize("form", ["plain", "console", "json"])
@given(rows=ROWS)
def test_each_line_has_its_record(form: str, rows: list[dict[str, Any]]) -> None:
    """Every line that the driver log writes is joined with one record of its message, whatever the message is."""
    rows.sort(key=lambda row: row["timestamp"])
    found = joined(written(rows, form), rows)
    assert [row["message"] for row in found if row is not None] == [row["message"] for row in rows]


def test_equal_messages_in_one_millisecond() -> None:
    """Equal lines get their records in order, each once, and a further line gets none."""
    rows = [record(0, "same", epoch=str(number)) for number in range(3)]
    lines = written(rows, "plain")
    found = joined([*lines, lines[0]], rows)
    assert [row and row["dimensions"]["epoch"] for row in found] == ["0", "1", "2", None]


def test_a_message_that_begins_like_another() -> None:
    """A line is not joined with a record whose message is only the beginning of its own."""
    rows = [record(0, "epoch 1"), record(0, "epoch 10")]
    lines = written(rows, "plain")
    assert joined([lines[1], lines[0]], rows) == [rows[1], rows[0]]


def test_lines_in_the_wrong_order() -> None:
    """Threads write their lines a little later than their records."""
    rows = [record(number, f"line {number}") for number in range(5)]
    lines = written(rows, "plain")
    assert joined(lines[::-1], rows) == rows[::-1]


def test_records_without_a_line_and_lines_without_a_record() -> None:
    """Metrics and records below the level of the driver log have no line, and other lines stay without a record."""
    rows = [record(0, "debug"), {**record(1, "loss"), "itemType": "customMetric"}, record(1, "shown")]
    lines = [*written([record(0.5, "not in the journal")], "plain"), *written(rows[2:], "plain")]
    assert joined(lines, rows) == [None, rows[2]]


def test_a_level_of_another_name() -> None:
    """A line of a custom level is joined by the name in the dimensions of its record."""
    row = {**record(0, "x"), "dimensions": {"level": "Level 35"}}
    ours = parse_line("2026-11-30T23:59:59.500Z Level 35 train: x")
    assert ours is not None
    assert RecordWindow(iter([row])).take(ours) == row


def test_midnight_on_a_terminal() -> None:
    """A time without a date is of the day of the records around it."""
    rows = [record(0, "before"), record(1, "after")]
    assert joined(written(rows, "console"), rows) == rows


FOREIGN = [
    "",
    "x",
    "{",
    '{"time"',
    '{"time": 5}',
    '{"time":"x","level":"INFO","message":"y"}',
    "10:11:12 INFO x: y",
]


@pytest.mark.parametrize("line", [*FOREIGN, "2026-11-30 10:11:12,123 INFO x: y", "[1]" * 20_000])
def test_foreign_lines(line: str) -> None:
    """Lines of other programs have no record, also if they look almost like ours."""
    ours = parse_line(line)
    assert ours is None or RecordWindow(iter([record(0, "y", logger="x")])).take(ours) is None


@given(st.text())
def test_any_line(line: str) -> None:
    """No line is an error."""
    ours = parse_line(line)
    assert ours is None or RecordWindow(iter([record(0, "y")])).take(ours) is None
