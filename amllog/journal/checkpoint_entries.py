"""The entries of a checkpoint: how far each outlet has processed a segment.

A checkpoint has one JSON line for each processed batch:
`{"outlet": "app_insights", "to": 8192, "delivered": 100, "refused": {"400 …": 1}, "again": [4096]}`. All bytes before
`to` are processed, except the lines that begin at the offsets in `again`. The counts of all lines are added up. `to`
and `again` are those of the outlet's last line. A line that changes only counts has a random `mark`, so that no two
lines are equal. Empty lines have no meaning.

Input is limited, because other programs may have written it. A line with a number, a string or a list that amllog does
not write is not a valid entry. A file is read in pieces, and only the sums are kept in memory.
"""

from __future__ import annotations

import errno
import json
import operator
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from amllog.journal import own_files
from amllog.journal.refused_counts import TRUNCATED
from amllog.record import envelope, text

MAX_BYTES = 8 * 1024 * 1024  # read in a second. amllog starts a new file at half of it
MAX_LINE_BYTES = 1024 * 1024
MAX_NUMBER = 2**53
MAX_LENGTH = 300  # of a string
MAX_OUTLETS = 8  # amllog has two
MAX_RETRIES = 10_000  # no batch has more lines
MAX_REASONS = 200  # of one outlet. Refusals for further reasons are counted together
OTHER_REASONS = "other reasons"
MEMBERS = {"outlet", "to", "delivered", "refused", "again", "mark"}
_PIECE_BYTES = 256 * 1024
_PREFIX = b'{"outlet":'


class Position:
    """The position of one outlet in a segment: all before `offset` is processed, except the lines at `retry`.

    `passed` is the number of records before `offset`, as far as this process itself has processed them.
    """

    __slots__ = ("delivered", "offset", "passed", "refused", "retry")

    def __init__(self) -> None:
        self.offset = 0
        self.retry: list[int] = []
        self.delivered = 0
        self.refused: Counter[str] = Counter()
        self.passed = 0

    def add(self, entry: CheckpointEntry) -> None:
        """Add the next entry that was read."""
        self.offset, self.retry = entry.offset, entry.retry
        self.delivered += entry.delivered
        _count(self.refused, entry.refused)

    def advance(
        self, offset: int, delivered: int, refused: Counter[str], retry: Sequence[int], passed: int
    ) -> None:
        """Add a batch that this process has processed."""
        self.delivered += delivered
        self.refused += refused
        self.retry = list(retry)
        self.passed += passed
        # Last: a thread that waits for this offset ends the process then, or deletes the file.
        self.offset = offset

    def set_passed(self, records: int) -> None:
        """Set the number of records before `offset`, after another process has changed it."""
        self.passed = records

    def count_missing(self, records: int, reason: str) -> None:
        """Count records as refused that are no longer in the file."""
        self.refused[reason] += records
        self.passed += records

    def copy(self) -> Position:
        """Return an independent copy, without `passed`."""
        copy = Position()
        copy.offset, copy.retry, copy.delivered = self.offset, self.retry, self.delivered
        copy.refused = self.refused.copy()
        return copy

    def limit(self, size: int) -> None:
        """Adapt to a file of `size` bytes. If it is shorter, it was truncated: the lines after its end are gone."""
        gone = [offset for offset in self.retry if offset >= size]
        if gone:
            self.retry = [offset for offset in self.retry if offset < size]
            self.refused[TRUNCATED] += len(gone)
        self.offset = min(self.offset, size)


class CheckpointEntry(NamedTuple):
    """One line of a checkpoint. In the file, `offset` is the member `to`, and `retry` the member `again`."""

    outlet: str
    offset: int
    delivered: int
    refused: dict[str, int]
    retry: list[int]
    mark: str = ""

    @property
    def line(self) -> bytes:
        """The entry as a line of the file."""
        members: dict[str, object] = {"outlet": self.outlet, "to": self.offset, "delivered": self.delivered}
        if self.refused:
            refused = Counter[str]()
            _count(refused, self.refused)
            members["refused"] = refused
        if self.retry:
            members["again"] = self.retry
        if self.mark:
            members["mark"] = self.mark
        return json.dumps(members).encode() + b"\n"


def read_lines(fd: int) -> Iterator[bytes]:
    """Yield the lines of an open checkpoint. A line is cut off after `MAX_LINE_BYTES` + 1 bytes.

    Raises OSError, with EFBIG if the file has more than `MAX_BYTES`.
    """
    offset, rest = 0, b""
    while piece := own_files.read_at(fd, _PIECE_BYTES, offset):
        offset += len(piece)
        if max(offset, os.fstat(fd).st_size) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"has more than {MAX_BYTES:,} bytes")
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[: MAX_LINE_BYTES + 1]
        yield from filter(None, lines)
    if rest:
        yield rest


def parse_entry(line: bytes) -> CheckpointEntry | None:
    """Return the entry of a line, or None if the line is torn or not a valid entry."""
    possible = line.startswith(_PREFIX) and len(line) <= MAX_LINE_BYTES
    value: Any = envelope.decode_line(line) if possible else None
    if value is None:
        return None
    outlet, offset, delivered = value.get("outlet"), value.get("to"), value.get("delivered")
    refused, retry, mark = value.get("refused", {}), value.get("again", []), value.get("mark", "")
    valid = (
        isinstance(outlet, str)
        and len(outlet) <= MAX_LENGTH
        and _is_count(offset)
        and _is_count(delivered)
        and isinstance(refused, dict)
        and len(refused) <= MAX_REASONS + 1
        and all(len(reason) <= MAX_LENGTH and _is_number(count) for reason, count in refused.items())
        and isinstance(retry, list)
        and len(retry) <= MAX_RETRIES
        and all(map(_is_count, retry))
        and all(map(operator.lt, retry, [*retry[1:], offset]))
        and isinstance(mark, str)
        and len(mark) <= MAX_LENGTH
    )
    return CheckpointEntry(outlet, offset, delivered, refused, retry, mark) if valid else None


def is_damaged(line: bytes) -> bool:
    """Return whether an invalid line is complete. An incomplete line was torn by a kill or a full disk."""
    return len(line) > MAX_LINE_BYTES or line.rstrip().endswith(b"}")


def sum_entries(entries: Iterable[CheckpointEntry]) -> tuple[dict[str, Position], int]:
    """Return the position of each outlet after these entries, and the number of entries of too many outlets."""
    positions, excess = dict[str, Position](), 0
    for entry in entries:
        position = positions.get(entry.outlet)
        if position is None:
            if len(positions) >= MAX_OUTLETS:
                excess += 1
                continue
            position = positions[entry.outlet] = Position()
        position.add(entry)
    return positions, excess


def missing_entries(
    recorded: Mapping[str, Position], present: Mapping[str, Position]
) -> list[CheckpointEntry]:
    """Return the entries that bring a file with the positions `present` to the positions `recorded`."""
    entries = []
    for outlet, position in recorded.items():
        before = present.get(outlet) or Position()
        refused = position.refused.copy()
        refused.subtract(before.refused)
        change = {reason: count for reason, count in refused.items() if count}
        delivered = max(0, position.delivered - before.delivered)
        if delivered or change or (position.offset, position.retry) != (before.offset, before.retry):
            entries.append(CheckpointEntry(outlet, position.offset, delivered, change, position.retry))
    return entries


def _is_number(value: object) -> bool:
    return type(value) is int and -MAX_NUMBER <= value <= MAX_NUMBER


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _count(sums: Counter[str], refused: Mapping[str, int]) -> None:
    """Add refusals to `sums`, within the lengths and the number of reasons that `parse_entry` accepts."""
    for long, count in refused.items():
        reason = text.truncate(long, MAX_LENGTH)
        is_full = reason not in sums and len(sums) >= MAX_REASONS
        sums[OTHER_REASONS if is_full else reason] += count
