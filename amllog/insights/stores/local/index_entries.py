"""What is known of one file: its runs, steps, times and record ids.

In: the JSON of an index or a manifest. Out: `Entry` values of the right types, or ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

UNREADABLE = -1  # in place of the time of a file that could not be read: it is tried again each time


class RecordGroup(NamedTuple):
    """Records of one step (its id and name) and one kind in one file. `first` and `last` are ISO 8601 UTC."""

    parent_run_id: str
    step_id: str
    step_name: str
    item_type: str
    records: int
    first: str
    last: str
    severity: int
    errors: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells a part from the others of its file."""
        return self[:4]


class IdRange(NamedTuple):
    """Record ids of one process (`<series>-<hex number>`) in one file: their range, and how many differ."""

    prefix: str
    low: int
    high: int
    records: int
    distinct: int


class IndexEntry(NamedTuple):
    """The content of one file, as of this size and time. `fingerprint` identifies the bytes that were read."""

    size: int
    modified: int
    torn: int
    groups: tuple[RecordGroup, ...]
    id_ranges: tuple[IdRange, ...]
    fingerprint: str


def parse_entry(values: Sequence[Any]) -> IndexEntry:
    """An entry from its JSON."""
    size, modified, torn, groups, series, fingerprint = values
    if not _are(list, values, groups, series, *groups, *series):
        raise ValueError("values of wrong types")
    found = IndexEntry(
        size,
        modified,
        torn,
        tuple(RecordGroup(*one) for one in groups),
        tuple(IdRange(*one) for one in series),
        fingerprint,
    )
    fits = (
        _are(int, size, modified, torn)
        and _are(str, fingerprint)
        and all(_are(str, *one[:4], one.first, one.last) for one in found.groups)
        and all(_are(int, one.records, one.severity, one.errors) for one in found.groups)
        and all(_are(str, one.prefix) and _are(int, *one[1:]) for one in found.id_ranges)
    )
    if not fits:
        raise ValueError("values of wrong types")
    for part in found.groups:
        if datetime.fromisoformat(part.first).tzinfo or datetime.fromisoformat(part.last).tzinfo:
            raise ValueError("times with an offset")
    return found


def _are(kind: type, *values: object) -> bool:
    return all(type(value) is kind for value in values)
