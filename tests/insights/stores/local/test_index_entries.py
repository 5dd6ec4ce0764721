"""Entries of the index as JSON values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from amllog.insights.stores.local.index_entries import IdRange, IndexEntry, RecordGroup, parse_entry

GROUP = RecordGroup("r", "s", "train", "trace", 2, "2026-11-22T10:00:00", "2026-11-22T11:00:00", 3, 1)
ENTRY = IndexEntry(10, 20, 1, (GROUP,), (IdRange("5e71e5", 0, 1, 2, 2),), "aa")


def test_an_entry_is_read_from_its_json() -> None:
    """Encoding and parsing return an equal entry."""
    assert parse_entry(json.loads(json.dumps(ENTRY))) == ENTRY
    assert GROUP.key == ("r", "s", "train", "trace", "")


def test_an_entry_of_an_earlier_version_is_read() -> None:
    """A manifest of before has groups without a root and an operation."""
    old = json.loads(json.dumps(ENTRY._replace(groups=[group[:9] for group in ENTRY.groups])))
    assert parse_entry(old) == ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"size": "10"},
        {"torn": True},
        {"fingerprint": None},
        {"groups": "x"},
        {"groups": [["r"]]},
        {"groups": [GROUP._replace(records="2")]},
        {"groups": [GROUP._replace(first="2026-11-22T10:00:00+01:00")]},
        {"groups": [GROUP._replace(last="never")]},
        {"groups": [GROUP._replace(root_run_id=1)]},
        {"groups": [(*GROUP, "more")]},
        {"id_ranges": [["5e71e5", "0", 1, 2, 2]]},
    ],
    ids=repr,
)
def test_values_of_other_types_are_rejected(change: dict[str, Any]) -> None:
    """A wrong type, a missing value and an invalid time are errors."""
    value = json.loads(json.dumps(ENTRY._replace(**change)))
    with pytest.raises((ValueError, TypeError)):
        parse_entry(value)
