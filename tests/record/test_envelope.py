"""The envelope: its fields, its limits and its encoding."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.record import envelope

KEY = "00000000-0000-0000-0000-0000000010ca"


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (-5, 0),
        (0, 0),
        (1, 0),
        (10, 0),
        (11, 1),
        (20, 1),
        (21, 2),
        (30, 2),
        (40, 3),
        (50, 4),
        (60, 4),
        (10**9, 4),
    ],
)
def test_severity(level: int, severity: int) -> None:
    """The severity of any level is 0 to 4."""
    assert envelope.severity(level) == severity


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00:00:00.000000"), (1.5, "0.00:00:01.500000"), (86_399.9999999, "1.00:00:00.000000"),
     (-1, "0.00:00:00.000000"),
     (90_061.000001, "1.01:01:01.000001"), (1e12, "999.00:00:00.000000"), (59.9999999, "0.00:01:00.000000")],
)  # fmt: skip
def test_format_duration(seconds: float, text: str) -> None:
    """A duration has the format of the protocol and less than 1000 days."""
    assert envelope.format_duration(seconds) == text


@given(st.floats(0, 253_402_300_798))
def test_format_timestamp(seconds: float) -> None:
    """A time is UTC with microseconds and always has the same length."""
    formatted = envelope.format_timestamp(seconds)
    assert len(formatted) == 27 and formatted.endswith("Z")
    read = datetime.fromisoformat(formatted[:-1]).replace(tzinfo=timezone.utc).timestamp()
    assert abs(read - seconds) < 1e-4


@given(st.floats(allow_nan=False))
def test_format_timestamp_of_any_number(seconds: float) -> None:
    """Times before the epoch and after the year 9999 have the same length."""
    assert len(envelope.format_timestamp(seconds)) == 27


@pytest.mark.parametrize("key", [KEY, "", None])
def test_time_and_key_are_read_without_parsing(key: str | None) -> None:
    """The time and the instrumentation key at their fixed positions are those of the parsed line."""
    line = envelope.encode_record(1.5, key, {"a": "b"}, "EventData", {"name": "n", "properties": {}})
    record = json.loads(line)
    assert (record["time"], record.get("iKey")) == (envelope.read_time(line), key)
    assert envelope.instrumentation_key(line) == (None if key is None else key.encode())
    assert [envelope.is_complete(part) for part in (line, line[:-9], line[5:])] == [True, False, False]
    assert [envelope.decode_line(part) for part in (line, line[:-3], b"[]")] == [record, None, None]
    assert record["name"] == "Microsoft.ApplicationInsights.Event"
    assert record["data"]["baseData"]["ver"] == 2


def test_reorder_members() -> None:
    """An envelope that a telemetry processor has changed begins with the time and the key."""
    record = {"x": 1, "iKey": KEY, "time": "t"}
    assert list(envelope.reorder_members(record)) == ["time", "iKey", "x"]


def test_limit_properties_merges_equal_keys() -> None:
    """Keys that are equal after truncation become one key."""
    properties: dict[str, Any] = envelope.limit_properties({"k" * 200 + "a": "1", "k" * 200 + "b": "2"})
    assert len(properties) == 1
