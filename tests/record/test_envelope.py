"""The envelope, its limits and the one codec."""

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
    """Severity is 0 to 4, whatever the level."""
    assert envelope.severity(level) == severity


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00:00:00.000000"), (1.5, "0.00:00:01.500000"), (86_399.9999999, "1.00:00:00.000000"),
     (-1, "0.00:00:00.000000"),
     (90_061.000001, "1.01:01:01.000001"), (1e12, "999.00:00:00.000000"), (59.9999999, "0.00:01:00.000000")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    """Durations are written as the protocol has them, in less than 1000 days."""
    assert envelope.format_duration(seconds) == text


@given(st.floats(0, 253_402_300_798))
def test_timestamp(seconds: float) -> None:
    """Times are UTC with microseconds, and always as long."""
    found = envelope.format_timestamp(seconds)
    assert len(found) == 27 and found.endswith("Z")
    read = datetime.fromisoformat(found[:-1]).replace(tzinfo=timezone.utc).timestamp()
    assert abs(read - seconds) < 1e-4


@given(st.floats(allow_nan=False))
def test_any_time(seconds: float) -> None:
    """Times before the epoch and after the year 9999 keep the form."""
    assert len(envelope.format_timestamp(seconds)) == 27


@pytest.mark.parametrize("key", [KEY, "", None])
def test_head(key: str | None) -> None:
    """Time and addressee are read from a line without parsing it, and parsing gives the same."""
    line = envelope.encode_record(1.5, key, {"a": "b"}, "EventData", {"name": "n", "properties": {}})
    record = json.loads(line)
    assert (record["time"], record.get("iKey")) == (envelope.read_time(line), key)
    assert envelope.instrumentation_key(line) == (None if key is None else key.encode())
    assert (
        envelope.is_complete(line)
        and not envelope.is_complete(line[:-9])
        and not envelope.is_complete(line[5:])
    )
    assert (
        envelope.decode_line(line) == record
        and envelope.decode_line(line[:-3]) is None
        and envelope.decode_line(b"[]") is None
    )
    assert record["name"] == "Microsoft.ApplicationInsights.Event"
    assert record["data"]["baseData"]["ver"] == 2


def test_ordered() -> None:
    """An envelope that others have changed begins as it must."""
    record = {"x": 1, "iKey": KEY, "time": "t"}
    assert list(envelope.reorder_members(record)) == ["time", "iKey", "x"]


texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=300)


@given(
    st.dictionaries(texts, texts.map(lambda said: said * 30), max_size=40), texts.map(lambda said: said * 100)
)
def test_limit(properties: dict[str, str], message: str) -> None:
    """No line is longer than an item may be; what was cut says so; record_id and run stay."""
    properties = envelope.limit_properties({**properties, "record_id": "r", "step_id": "s"})
    data = {"message": message[: envelope.MAX_MESSAGE], "properties": dict(properties)}
    line = envelope.encode_record(1.5, KEY, {}, "MessageData", data)
    assert len(line) <= envelope.MAX_ITEM_BYTES
    found = json.loads(line)["data"]["baseData"]
    assert len(found["message"]) <= envelope.MAX_MESSAGE
    assert all(len(key) <= 150 and len(value) <= 8192 for key, value in found["properties"].items())
    assert (found["properties"]["record_id"], found["properties"]["step_id"]) == ("r", "s")


def test_marks_of_run_history_stay() -> None:
    """Of too many dimensions, those that address a record to run history are never left out."""
    marks = {"run_metric": "scalar", "run_id": "r", "step": "3"}
    many = {f"{number}": "v" * 150 for number in range(900)}
    line = envelope.encode_record(
        1.5, KEY, {}, "MetricData", {"metrics": [], "properties": {**many, **marks}}
    )
    found = json.loads(line)["data"]["baseData"]["properties"]
    assert {key: found.get(key) for key in marks} == marks
    assert int(found["dimensions_left_out"]) + len(found) - 4 == 900


def test_no_key_clash() -> None:
    """Keys that become alike by cutting are one key, and the line is valid all the same."""
    properties: dict[str, Any] = envelope.limit_properties({"k" * 200 + "a": "1", "k" * 200 + "b": "2"})
    assert len(properties) == 1
