"""Conversions of the values of an answer."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from amllog.insights.query import cell_types

WHEN = datetime(2026, 11, 22, 10, 0, 0, 123456, timezone.utc)


@pytest.mark.parametrize(
    "value",
    [
        WHEN,
        WHEN.replace(tzinfo=None),
        WHEN.astimezone(timezone(timedelta(hours=2))),
        "2026-11-22T10:00:00.1234567Z",
        "2026-11-22T12:00:00.123456+02:00",
        "2026-11-22 10:00:00.123456",
    ],
)
def test_times_are_aware_and_utc(value: object) -> None:
    """A time of any engine is aware and in UTC."""
    time = cell_types.to_time(value)
    assert time is not None
    assert (time, time.tzinfo) == (WHEN, timezone.utc)


def test_stacks_are_strings() -> None:
    """Frames are formatted as in Python, the innermost last."""
    frames = [{"method": "fit", "fileName": "train.py", "line": 3}, {"method": "main"}]
    expected = '  File "", in main\n  File "train.py", line 3, in fit'
    assert cell_types.to_stack(json.dumps(frames)) == expected
    assert cell_types.to_stack("Traceback\n  x") == "Traceback\n  x"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", 12),
        (" +7 ", 7),
        ("0x1F", 31),
        ("1.0", None),
        ("1e3", None),
        (2**63, None),
        (float("nan"), None),
    ],
)
def test_integers(value: object, expected: int | None) -> None:
    """A whole number has 64 bits, and a string must be decimal or hexadecimal digits."""
    assert cell_types.to_integer(value) == expected


def test_reals_of_every_size() -> None:
    """A whole number that is too large for a float is infinite, and the name of NaN is a number."""
    assert cell_types.to_real(-(10**400)) == -math.inf
    assert math.isnan(cell_types.to_real("NaN") or 0.0)
    assert (cell_types.to_real("x"), cell_types.float_name(-math.inf)) == (None, "-Infinity")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.02:03:04.0000015", timedelta(days=1, seconds=7384, microseconds=1)),
        ("-00:00:00.0000050", timedelta(microseconds=-5)),
        (15, timedelta(microseconds=1)),
        (-15, timedelta(microseconds=-1)),
        (timedelta(1), timedelta(1)),
        ("x", None),
        (None, None),
    ],
)
def test_to_timespan(value: object, expected: timedelta | None) -> None:
    """Ticks and the service's text are durations, without fractions of microseconds."""
    assert cell_types.to_timespan(value) == expected


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_the_text_of_a_duration_survives(ticks: int) -> None:
    """The text has all ticks, and is read back to microseconds."""
    assert cell_types.to_timespan(cell_types.timespan_text(ticks)) == cell_types.to_timespan(ticks)


def test_to_dynamic() -> None:
    """Text that is a list or dict of JSON is converted, and other values are not."""
    values = ["[1]", '{"a":1}', "[x", "text", "5", 5, None, [1]]
    assert [cell_types.to_dynamic(value) for value in values] == [
        [1],
        {"a": 1},
        "[x",
        "text",
        "5",
        5,
        None,
        [1],
    ]
