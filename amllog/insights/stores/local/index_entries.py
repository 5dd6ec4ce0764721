"""The content of the index for one file: its runs, steps, times and record ids.

Entries are stored as JSON lists of their values, in the index and in the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

# Instead of the modification time of a file that could not be read. It is read again each time.
UNREADABLE = -1


class RecordGroup(NamedTuple):
    """The records of one run, step and type in one file. `first` and `last` are ISO 8601 in UTC, without an offset.

    `operation_id`: one of them. Manifests of earlier versions have no values after `errors`.
    """

    parent_run_id: str
    step_id: str
    step_name: str
    item_type: str
    records: int
    first: str
    last: str
    severity: int
    errors: int
    root_run_id: str = ""
    operation_id: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The values that identify a group in its file."""
        return (*self[:4], self.root_run_id)


class IdRange(NamedTuple):
    """The record ids of one process (`<prefix>-<hex number>`) in one file.

    `low` and `high` are the smallest and the largest number. `distinct` is the number of different ids.
    """

    prefix: str
    low: int
    high: int
    records: int
    distinct: int


class IndexEntry(NamedTuple):
    """The content of a file of this size and modification time (st_mtime_ns). `torn`: lines that could not be read.

    `fingerprint` identifies the bytes that were read. If it is "", an appended file must be read from the start.
    """

    size: int
    modified: int
    torn: int
    groups: tuple[RecordGroup, ...]
    id_ranges: tuple[IdRange, ...]
    fingerprint: str


def parse_entry(values: Sequence[Any]) -> IndexEntry:
    """Return an entry from its JSON value. Raises ValueError or TypeError for values of other types."""
    size, modified, torn, groups, id_ranges, fingerprint = values
    if not _are(list, values, groups, id_ranges, *groups, *id_ranges):
        raise ValueError("values of wrong types")
    entry = IndexEntry(
        size,
        modified,
        torn,
        tuple(RecordGroup(*group) for group in groups),
        tuple(IdRange(*id_range) for id_range in id_ranges),
        fingerprint,
    )
    is_valid = (
        _are(int, size, modified, torn)
        and _are(str, fingerprint)
        and all(_are(str, *group[:4], *group[9:], group.first, group.last) for group in entry.groups)
        and all(_are(int, group.records, group.severity, group.errors) for group in entry.groups)
        and all(_are(str, ids.prefix) and _are(int, *ids[1:]) for ids in entry.id_ranges)
    )
    if not is_valid:
        raise ValueError("values of wrong types")
    for group in entry.groups:
        if datetime.fromisoformat(group.first).tzinfo or datetime.fromisoformat(group.last).tzinfo:
            raise ValueError("times with an offset")
    return entry


def _are(type_: type, *values: object) -> bool:
    return all(type(value) is type_ for value in values)
