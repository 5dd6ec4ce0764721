"""Literals and strings of KQL keep their values."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amllog.insights.query import kql_literals
from amllog.insights.stores.local.kql.reasons import KqlError
from amllog.insights.stores.local.kql.tokens import place, ticks, tokenize

Run = Callable[[str], list[list[Any]]]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3),
    max_leaves=5,
)


def test_strings(run: Run) -> None:
    """Multi-line, verbatim and obfuscated strings are equal to plain strings."""
    query = 'print a = ```one\n"two" \\n```, b = h\'abc\', c = H@"d\\e", d = ~~~x```y~~~, e = \'h"f"\' // ```'
    assert run(query) == [['one\n"two" \\n', "abc", "d\\e", "x```y", 'h"f"']]
    assert run(r"""print "\u0041\\u0041", @"\u0041", 'a\'b', "\x41\101\t", @'it''s'""") == [
        ["A\\u0041", "\\u0041", "a'b", "AA\t", "it's"]
    ]


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(
    text=TEXTS,
    number=st.integers(-(2**63) + 1, 2**63 - 1),
    real=st.floats(allow_nan=False, allow_infinity=False),
)
def test_literals_survive(run: Run, text: str, number: int, real: float) -> None:
    """Strings, numbers and times of our own writer have the same value after a query."""
    time = datetime(2000, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=number % 10**15)
    seconds = timedelta(microseconds=number % 10**12)
    query = (
        f"print {kql_literals.literal(text)}, long({number}), real({real!r}), {kql_literals.instant(time)}, "
        f"{seconds // timedelta(microseconds=1)}microsecond, dynamic({json.dumps([text, number % 10**15])})"
    )
    assert run(query) == [[text, number, real, time, seconds, [text, number % 10**15]]]


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=40)
@given(value=VALUES)
def test_dynamic_literals_survive(run: Run, value: Any) -> None:
    """A dynamic literal has the same value after a query, and also as text that is parsed again."""
    text = json.dumps(value, ensure_ascii=False)
    if value is None or value == "":
        return
    expected = (
        json.loads(value) if isinstance(value, str) and value[:1] in "[{" and _is_json(value) else value
    )
    assert run(f"print dynamic({text})") == [[expected]]


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except ValueError:
        return False


def test_durations() -> None:
    """A number with a unit is a duration, in ticks of 100 ns."""
    assert [ticks(text) for text in ("1d", "1.5h", "10ms", "1tick", "2microseconds", "3min")] == [
        864_000_000_000, 54_000_000_000, 100_000, 1, 20, 1_800_000_000,
    ]  # fmt: skip
    with pytest.raises(ValueError):
        ticks("1x")


def test_positions() -> None:
    """A message has the line and the column."""
    assert place("a\nbc", 3) == "line 2, column 2"
    with pytest.raises(KqlError, match="line 2, column 3"):
        tokenize("a\nb ^")
    with pytest.raises(KqlError, match="is not closed"):
        tokenize("print long(3")
