"""What is known of one file: its runs, steps, times and record ids.

In: the JSON of an index or a manifest. Out: `Entry` values of the right types, or ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

UNREAD = -1  # in place of the time of a file that could not be read: it is tried again each time


class Part(NamedTuple):
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


class Series(NamedTuple):
    """Record ids of one process (`<series>-<hex number>`) in one file: their range, and how many differ."""

    series: str
    low: int
    high: int
    records: int
    distinct: int


class Entry(NamedTuple):
    """What one file holds, as of this size and time. `seal` tells the bytes that were read; "": not to be read on."""

    size: int
    changed: int
    torn: int
    parts: tuple[Part, ...]
    series: tuple[Series, ...]
    seal: str


def as_entry(values: Sequence[Any]) -> Entry:
    """An entry from its JSON."""
    size, changed, torn, parts, series, seal = values
    if not _are(list, values, parts, series, *parts, *series):
        raise ValueError("values of wrong types")
    found = Entry(
        size, changed, torn, tuple(Part(*one) for one in parts), tuple(Series(*one) for one in series), seal
    )
    fits = (
        _are(int, size, changed, torn)
        and _are(str, seal)
        and all(_are(str, *one[:4], one.first, one.last) for one in found.parts)
        and all(_are(int, one.records, one.severity, one.errors) for one in found.parts)
        and all(_are(str, one.series) and _are(int, *one[1:]) for one in found.series)
    )
    if not fits:
        raise ValueError("values of wrong types")
    for part in found.parts:
        if datetime.fromisoformat(part.first).tzinfo or datetime.fromisoformat(part.last).tzinfo:
            raise ValueError("times with an offset")
    return found


def _are(kind: type, *values: object) -> bool:
    return all(type(value) is kind for value in values)
