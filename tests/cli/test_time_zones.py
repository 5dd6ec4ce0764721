"""The zone of times in text."""

from __future__ import annotations

import argparse
import time
from argparse import Namespace
from datetime import datetime, timezone

import pytest

from amllog.cli.time_zones import in_zone, parse_zone
from amllog.insights.reports.rendering import format_time

SUMMER = datetime(2026, 7, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("UTC", "10:00:00.000Z"), ("+02:00", "12:00:00.000+0200"), ("-0330", "06:30:00.000-0330"),
     ("Europe/Berlin", "12:00:00.000+0200")],
)  # fmt: skip
def test_zones(name: str, expected: str) -> None:
    """UTC, offsets and names are zones, and an offset is shown with each time."""
    row = in_zone(Namespace(tz=parse_zone(name)), {"timestamp": SUMMER, "n": 1})
    assert format_time(row["timestamp"]).endswith(expected)
    assert in_zone(Namespace(tz=None), {"timestamp": SUMMER}) == {"timestamp": SUMMER}


def test_the_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local zone is that of TZ, in summer and in winter."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        zone = parse_zone("local")
        assert format_time(SUMMER.astimezone(zone)).endswith("T12:00:00.000+0200")
        assert format_time(SUMMER.replace(month=1).astimezone(zone)).endswith("T11:00:00.000+0100")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["Nowhere/X", "../etc", "+99:00", "", "x\0"])
def test_invalid(name: str) -> None:
    """Another name is rejected with the allowed ones."""
    with pytest.raises(argparse.ArgumentTypeError, match="Europe/Berlin"):
        parse_zone(name)
