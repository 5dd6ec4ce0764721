"""Literals of KQL, and the KQL of a question without a store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from amllog.insights.query import kql_literals
from amllog.insights.query.filters import parse_duration
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked


def test_kql_without_a_store() -> None:
    """A question without a store has its KQL and no rows."""
    table = Questions(Unasked()).logs(last="7d", run_type="training", level="ERROR")
    lines, without_severity = table.kql.splitlines(), "(isnull(severityLevel) or severityLevel >= 3))"
    assert lines[:4] == [
        "union traces, exceptions",
        "| where timestamp >= ago(7d)",
        '| where tostring(customDimensions.run_type) == "training"',
        '| where (itemType == "trace" and severityLevel >= 3) or (itemType == "exception" and '
        + without_severity,
    ]
    assert table.kql_workspace.splitlines()[0] == "union AppTraces, AppExceptions"
    assert len(table) == 0


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ('a"b', r'"a\"b"'),
        ("a\\", r'"a\\"'),
        ("a\nb\r\t", r'"a\nb\r\t"'),
        ("\x00\u2028\x85", r'"\u0000\u2028\u0085"'),
        ("é😀", '"é😀"'),
    ],
)
def test_string_literals(text: str, literal: str) -> None:
    """No character in a string literal ends it."""
    assert kql_literals.literal(text) == literal


@pytest.mark.parametrize(
    ("duration", "literal"),
    [
        ("7d", "7d"),
        ("2w", "14d"),
        ("36h", "36h"),
        ("90m", "90m"),
        ("90s", "90s"),
        ("0.5s", "500ms"),
        ("12345678s", "12345678s"),
        (timedelta(days=20_000, seconds=1), "1728000001s"),
        (timedelta(hours=1, milliseconds=5), "3600005ms"),
        (timedelta(microseconds=7), "0.000007s"),
    ],
)
def test_durations(duration: str | timedelta, literal: str) -> None:
    """A duration is in the greatest unit that divides it, without an exponent, which KQL does not know."""
    assert kql_literals.ago(parse_duration(duration)) == f"ago({literal})"


def test_years_have_four_digits() -> None:
    """A year has four digits and a time is in UTC."""
    assert "timestamp >= datetime(0999-12-31T15:00:00.000000Z)" in (
        Questions(Unasked()).logs(since="1000-01-01T00:00:00+09:00").kql
    )
