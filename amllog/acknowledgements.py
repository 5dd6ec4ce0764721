"""The entries of a checkpoint: how far each outlet has processed a segment.

A checkpoint has one JSON line for each processed batch:
`{"outlet": "app_insights", "to": 8192, "delivered": 100, "refused": {"400 …": 1}, "again": [4096]}`. All bytes
before `to` are processed, except the lines that begin at the offsets in `again`. The counts of all lines are added up.
`to` and `again` are those of the outlet's last line.

Input is limited: a line with a number, a text or a list that amllog does not write is no valid entry.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from amllog import record
from amllog.refusals import TRUNCATED

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_NUMBER = 2**53
MAX_TEXT = 1_000
MAX_MEMBERS = 100_000


class Progress:
    """The progress of one outlet in a segment: it has processed all before `to`, except the lines at `again`.

    `passed` is the number of lines before `to`, as far as this process has passed them itself.
    """

    __slots__ = ("again", "delivered", "passed", "refused", "to")

    def __init__(self) -> None:
        self.to = 0
        self.again: list[int] = []
        self.delivered = 0
        self.refused: Counter[str] = Counter()
        self.passed = 0

    def fit(self, size: int) -> None:
        """Adapt to a file of `size` bytes. One that is shorter was truncated: nothing after its end can be sent."""
        gone = [offset for offset in self.again if offset >= size]
        if gone:
            self.again = [offset for offset in self.again if offset < size]
            self.refused[TRUNCATED] += len(gone)
        self.to = min(self.to, size)


class Entry(NamedTuple):
    """One line of a checkpoint."""

    outlet: str
    to: int
    delivered: int
    refused: dict[str, int]
    again: list[int]

    @property
    def line(self) -> bytes:
        """The entry as it is written."""
        members: dict[str, object] = {"outlet": self.outlet, "to": self.to, "delivered": self.delivered}
        if self.refused:
            members["refused"] = self.refused
        if self.again:
            members["again"] = self.again
        return json.dumps(members).encode() + b"\n"


def parse(line: bytes) -> Entry | None:
    """The entry of a line; None if the line is torn or no valid entry."""
    value: Any = record.decode(line) if len(line) <= MAX_LINE_BYTES else None
    if value is None:
        return None
    outlet, to, delivered = value.get("outlet"), value.get("to"), value.get("delivered")
    refused, again = value.get("refused", {}), value.get("again", [])
    valid = (
        isinstance(outlet, str)
        and len(outlet) <= MAX_TEXT
        and _is_count(to)
        and _is_count(delivered)
        and isinstance(refused, dict)
        and isinstance(again, list)
        and max(len(refused), len(again)) <= MAX_MEMBERS
        and all(len(reason) <= MAX_TEXT and _is_number(count) for reason, count in refused.items())
        and all(_is_count(offset) and offset < to for offset in again)
    )
    return Entry(outlet, to, delivered, refused, again) if valid else None


def _is_number(value: object) -> bool:
    return type(value) is int and -MAX_NUMBER <= value <= MAX_NUMBER


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def progress_of(entries: Iterable[Entry], size: int) -> dict[str, Progress]:
    """Return the progress of each outlet after these entries, in a segment of `size` bytes."""
    found: dict[str, Progress] = {}
    for entry in entries:
        progress = found.setdefault(entry.outlet, Progress())
        progress.to, progress.again = entry.to, entry.again
        progress.delivered += entry.delivered
        progress.refused.update(entry.refused)
    for progress in found.values():
        progress.fit(size)
    return found
