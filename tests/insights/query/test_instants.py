"""Points in time and durations as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from amllog.insights.query.instants import parse_duration, parse_instant

NOW = datetime(2026, 11, 30, 15, 0, tzinfo=timezone.utc)
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW), ("yesterday", datetime(2026, 11, 29, tzinfo=timezone.utc)),
        ("Today", datetime(2026, 11, 30, tzinfo=timezone.utc)), ("1h", NOW - timedelta(hours=1)),
        ("1h30m", NOW - timedelta(minutes=90)), ("2 hours ago", NOW - timedelta(hours=2)),
        ("-1h", NOW - timedelta(hours=1)), ("2 weeks ago", NOW - timedelta(weeks=2)),
        ("10:00", NOW.replace(hour=10)), ("1767225600", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ("@1767225600", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ("1767225600000", datetime(2026, 1, 1, tzinfo=timezone.utc)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=timezone.utc)),
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=timezone.utc)),
        ("2026-11-22T10:00:00.1234567z", datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=timezone.utc)),
        ("soon", None), ("1 fortnight", None), ("5", None), ("25:00", None), ("", None),
    ],
)  # fmt: skip
def test_instants(text: str, expected: datetime | None) -> None:
    """The forms of other tools are accepted, in UTC without an offset."""
    assert parse_instant(text, NOW) == expected


def test_a_zone() -> None:
    """Days and times without an offset are those of the zone."""
    assert parse_instant("today", NOW, BERLIN) == datetime(2026, 11, 30, tzinfo=BERLIN)
    assert parse_instant("2026-11-22 10:00", NOW, BERLIN) == datetime(2026, 11, 22, 10, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7d", 604_800), ("1h30m", 5400), ("2 days", 172_800), ("90 sec", 90), ("1.5h", 5400), ("500ms", 0.5),
     ("0s", None), ("200000d", None), ("x", None), ("1h x", None), ("yesterday", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    """Units can be combined and written out."""
    assert parse_duration(text) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text() | st.from_regex(r"[-@]?[0-9]{1,20} ?[a-z:]{0,5} ?(ago)?"))
def test_any_text(text: str) -> None:
    """Any text is a time with an offset or None."""
    instant = parse_instant(text, NOW)
    assert instant is None or instant.tzinfo is not None
