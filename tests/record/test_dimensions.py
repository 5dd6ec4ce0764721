"""Dimensions: any keys and values become masked strings within the limits."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from amllog.record import envelope
from amllog.record.dimensions import add_dimensions, remask_dimensions, to_dimensions
from amllog.record.redaction import Redactor

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


class Hostile:
    """An object that cannot be converted to a string."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@given(st.dictionaries(SCALARS, SCALARS | st.lists(SCALARS)))
def test_all_values_are_strings_within_the_limits(values: dict[Any, object]) -> None:
    """Each key and value is a string within its limit, and no key is empty."""
    for key, value in to_dimensions(values, Redactor()).items():
        assert isinstance(key, str) and 0 < len(key) <= envelope.MAX_KEY
        assert isinstance(value, str) and len(value) <= envelope.MAX_VALUE


def test_types() -> None:
    """Numbers are exact, containers are JSON, and an object that cannot be converted is named."""
    dimensions = to_dimensions(
        {
            "n": 3,
            "big": 10**30,
            "x": 0.5,
            "b": True,
            "none": None,
            "list": [1, "a"],
            7: "seven",
            "bad": Hostile(),
        },
        Redactor(),
    )
    assert "RuntimeError" in dimensions.pop("bad")
    assert dimensions == {
        "n": "3", "big": str(10**30), "x": "0.5", "b": "True", "none": "None", "list": '[1, "a"]', "7": "seven",
    }  # fmt: skip


def test_long_keys_and_values_are_marked() -> None:
    """Long keys and values are truncated with a mark, and an empty key is replaced."""
    dimensions = to_dimensions({"k" * 200: "v" * 10_000, "": 1, "n": 10**20_000}, Redactor())
    assert [len(key) for key in dimensions] == [envelope.MAX_KEY, len(envelope.EMPTY), 1]
    assert [value[-20:].endswith("characters]") for value in dimensions.values()] == [True, False, True]


def test_secrets_are_masked() -> None:
    """A value is masked by its key or by its format, and a random value of `key` too."""
    random = "aB3dEfGh1jKlMnOpQrSt7v"
    values = {"password": "x", "note": "password=hunter22", "key": random, "Key": "plain", "token": 3}
    assert to_dimensions(values, Redactor()) == {
        "password": "***", "note": "password=***", "key": "***", "Key": "plain", "token": "3",
    }  # fmt: skip


def test_later_values_replace_earlier_ones() -> None:
    """add_dimensions() replaces the value of a key that exists."""
    dimensions = {"a": "1", "b": "2"}
    add_dimensions(dimensions, {"b": 3}, Redactor())
    assert dimensions == {"a": "1", "b": "3"}


def test_remask_dimensions() -> None:
    """Another redactor masks its keys in all values, also in JSON and in the table of a metric."""
    table = {"columns": {"iban": "string", "n": "int"}, "rows": [["DE00", 1]]}
    dimensions = {
        "iban": "DE00",
        "rows": '[{"iban": "DE00"}]',
        "table": json.dumps(table),
        "brace": "{no json",
    }
    remasked = remask_dimensions(dimensions, Redactor(["iban"]))
    assert "DE00" not in str(remasked)
    assert (remasked["rows"], remasked["brace"]) == ('[{"iban": "***"}]', "{no json")
    assert json.loads(remasked["table"])["rows"] == [["***", 1]]
