"""The conversion of any object to a string or a JSON value of bounded length."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import time
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, strategies as st

from amllog.record import text


class Level(enum.IntEnum):
    """An enum of numbers."""

    HIGH = 3


class Tensor:
    """A class with the methods of a torch scalar."""

    ndim = 0

    def __init__(self, value: float, count: int = 1) -> None:
        self.value, self.count = value, count

    def size(self) -> tuple[int, ...]:
        return ()

    def numel(self) -> int:
        return self.count

    def item(self) -> float:
        return self.value

    def __float__(self) -> float:
        if self.count > 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.value


TEXTS: list[tuple[Any, str]] = [
    ("a", "a"), (1, "1"), (True, "True"), (None, "None"), (0.1, "0.1"), (1e300, "1e+300"), (math.nan, "NaN"),
    (math.inf, "Infinity"), (-math.inf, "-Infinity"), (b"a\xff", "a\\xff"), (bytearray(b"b"), "b"),
    ({"a": 1, "b": [1.5, None]}, '{"a": 1, "b": [1.5, null]}'), ((1, "x"), '[1, "x"]'), ({3}, "[3]"),
    ({(1, 2): math.nan}, '{"[1, 2]": "NaN"}'), (Level.HIGH, "3"), (PurePosixPath("/a"), "/a"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), "2026-01-02T03:04:05+00:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.timedelta(seconds=1.5), "0:00:01.500000"), (decimal.Decimal("1.10"), "1.10"), (1 + 2j, "(1+2j)"),
    (numpy.float64(0.5), "0.5"), (numpy.float32("nan"), "NaN"), (numpy.int64(7), "7"), (numpy.array([1, 2]), "[1 2]"),
    (numpy.array(3), "3"), (numpy.bool_(True), "True"), (Tensor(0.25), "0.25"), (ValueError("x"), "ValueError: x"),
    ({"n": 2**63}, '{"n": "9223372036854775808"}'), ([numpy.float32(0.5)], '["0.5"]'), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), TEXTS, ids=[str(type(value)) for value, _ in TEXTS])
def test_to_text(value: object, expected: str) -> None:
    """The string of an object is the one that a person would write."""
    assert text.to_text(value) == expected


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1), (0.5, 0.5), (True, True), (decimal.Decimal("1.5"), 1.5), (numpy.float32(0.5), 0.5), (numpy.int64(7), 7),
     (numpy.array([3.0]), 3.0), (Tensor(0.25), 0.25), (Level.HIGH, 3.0), ("1", None), (b"1", None), (None, None),
     ([1], None), ({}, None), (numpy.array([1, 2]), None), (Tensor(1, 2), None), (1j, None), (object(), None)],
)  # fmt: skip
def test_to_number(value: object, number: float | None) -> None:
    """Numeric scalars are numbers, strings that look like one are not."""
    assert text.to_number(value) == number


@given(st.text(), st.integers(40, 200))
def test_truncate(string: str, limit: int) -> None:
    """A truncated string is within the limit and has its original length in the mark."""
    for truncate in (text.truncate, text.truncate_middle):
        truncated = truncate(string * 5, limit)
        assert len(truncated) <= limit
        assert (truncated == string * 5) == (len(string) * 5 <= limit)
        if len(string) * 5 > limit:
            assert f"cut from {len(string) * 5} characters" in truncated


def test_truncate_middle_keeps_both_ends() -> None:
    """The beginning and the end of the string stay."""
    truncated = text.truncate_middle("".join(f"{number:04d}" for number in range(1000)), 200)
    assert truncated.startswith("0000") and truncated.endswith("0999")


@given(st.text(st.characters(categories=["Cs", "Ll"])))
def test_replace_surrogates(string: str) -> None:
    """A string without lone surrogates can be encoded."""
    assert text.replace_surrogates(string).encode() is not None


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(max_size=9) | st.integers() | st.none(), inner)
        | st.tuples(inner, inner)
    ),
)


@given(NESTED)
def test_to_json_value(value: object) -> None:
    """A container becomes strict JSON."""
    json.dumps(text.to_json_value(value), allow_nan=False).encode()


def test_named_tuples() -> None:
    """A named tuple becomes an object, so that its names show which values are secrets."""

    class Point(NamedTuple):
        x: int
        y: tuple[int, int]

    assert text.to_text(Point(1, (2, 3))) == '{"x": 1, "y": [2, 3]}'
    assert text.to_text([Point(1, (2, 3))]) == '[{"x": 1, "y": [2, 3]}]'
    assert text.to_text(time.gmtime(0)).startswith("[1970, 1, 1,")


def test_to_json_value_is_bounded() -> None:
    """The depth of a container and the number and length of its values are bounded, and each cut is marked."""
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    assert "too deep" in text.to_text(deep) and "bottom" not in text.to_text(deep)
    for wide in (
        list(range(10_000)),
        {str(n): n for n in range(10_000)},
        [(1, 2)] * 10_000,
        set(range(10_000)),
    ):
        assert "more omitted" in text.to_text(wide) and len(text.to_text(wide)) < 100_000
    long = text.to_text(["x" * 1_000_000] * 100)
    assert "cut from 1000000 characters" in long and len(long) < 100_000
    assert text.to_text([1, 2, 3]) == "[1, 2, 3]"


def test_a_value_that_fails_in_a_container() -> None:
    """A value whose conversion fails is replaced by a message, and the others stay."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    assert json.loads(text.to_text({"a": 1, "bad": Bad(), "c": 3})) == {
        "a": 1, "bad": "<Bad: RuntimeError while converting it to a string>", "c": 3,
    }  # fmt: skip
