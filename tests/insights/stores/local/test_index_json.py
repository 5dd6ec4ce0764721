"""The JSON reader of the index and of a manifest."""

from __future__ import annotations

import json

import pytest

from amllog.insights.stores.local.index_json import MAX_VALUE_CHARACTERS, JsonReader


def test_objects_are_read_piece_by_piece() -> None:
    """Members, strings and values are consumed in their order, up to the end."""
    reader = JsonReader(b'{"a": {"b\\u00e9": [1, 2]}, "n": 12}')
    reader.expect('{"a": {')
    names = []
    for _ in reader.items("}"):
        names.append(reader.string())
        reader.expect(": ")
        assert reader.value() == [1, 2]
    assert names == ["bé"]
    assert not reader.accept("}")
    assert reader.accept(', "n": ')
    assert reader.value() == 12
    reader.expect("}")
    reader.end()


@pytest.mark.parametrize("text", ["[", "[" * 100_000, "x", ""])
def test_invalid_values_are_rejected(text: str) -> None:
    """A torn, too deep or missing value is a ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        JsonReader(text.encode()).value()


def test_long_values_are_limited() -> None:
    """A value at the limit of a window is complete, and a value beyond the last limit is rejected."""
    for size in (4 * 1024 - 2, 4 * 1024, 70_000):
        assert JsonReader(json.dumps("x" * size).encode()).value() == "x" * size
    with pytest.raises(ValueError, match=r"\w"):
        JsonReader(json.dumps("x" * MAX_VALUE_CHARACTERS).encode()).value()


def test_other_text_is_rejected() -> None:
    """An unexpected character and text after the end are ValueErrors with the position."""
    reader = JsonReader(b'{"a" ')
    with pytest.raises(ValueError, match="at 0"):
        reader.expect("[")
    reader.expect('{"a"')
    with pytest.raises(ValueError, match="more text at 4"):
        reader.end()
