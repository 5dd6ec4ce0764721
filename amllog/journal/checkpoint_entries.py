"""The entries of a checkpoint: how far each outlet has processed a segment.

A checkpoint has one JSON line for each processed batch:
`{"outlet": "app_insights", "to": 8192, "delivered": 100, "refused": {"400 …": 1}, "again": [4096]}`. All bytes
before `to` are processed, except the lines that begin at the offsets in `again`. The counts of all lines are added up.
`to` and `again` are those of the outlet's last line. A line that changes only counts has a random `mark`, so that no
two lines are equal.

Empty lines mean nothing.

Input is limited: a line with a number, a text or a list that amllog does not write is no valid entry. A file is read in
pieces, and only the sums are kept.
"""

from __future__ import annotations

import errno
import json
import operator
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from amllog.journal import own_files
from amllog.journal.refused_counts import TRUNCATED
from amllog.record import envelope, text

MAX_BYTES = 8 * 1024 * 1024  # read in a second; amllog begins a new file at half of it
MAX_LINE_BYTES = 1024 * 1024
MAX_NUMBER = 2**53
MAX_TEXT = 300
MAX_OUTLETS = 8  # amllog has two
MAX_AGAIN = 10_000  # no outlet is offered more lines at once
MAX_REASONS = 200  # of one outlet; refusals for further reasons are counted together
OTHER_REASONS = "other reasons"
_PIECE_BYTES = 256 * 1024
MEMBERS = {"outlet", "to", "delivered", "refused", "again", "mark"}
_HEAD = b'{"outlet":'


class Position:
    """The progress of one outlet in a segment: it has processed all before `to`, except the lines at `again`.

    `passed` is the number of lines before `to`, as far as this process has passed them itself.
    """

    __slots__ = ("delivered", "offset", "passed", "refused", "retry")

    def __init__(self) -> None:
        self.offset = 0
        self.retry: list[int] = []
        self.delivered = 0
        self.refused: Counter[str] = Counter()
        self.passed = 0

    def add(self, entry: CheckpointEntry) -> None:
        """Add one more entry."""
        self.offset, self.retry = entry.offset, entry.retry
        self.delivered += entry.delivered
        _count(self.refused, entry.refused)

    def copy(self) -> Position:
        """The same, independent of this one."""
        found = Position()
        found.offset, found.retry, found.delivered = self.offset, self.retry, self.delivered
        found.refused = self.refused.copy()
        return found

    def fit(self, size: int) -> None:
        """Adapt to a file of `size` bytes. One that is shorter was truncated: nothing after its end can be sent."""
        gone = [offset for offset in self.retry if offset >= size]
        if gone:
            self.retry = [offset for offset in self.retry if offset < size]
            self.refused[TRUNCATED] += len(gone)
        self.offset = min(self.offset, size)


class CheckpointEntry(NamedTuple):
    """One line of a checkpoint."""

    outlet: str
    offset: int
    delivered: int
    refused: dict[str, int]
    retry: list[int]
    mark: str = ""

    @property
    def line(self) -> bytes:
        """The entry as it is written."""
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


def lines_of(fd: int) -> Iterator[bytes]:
    """The lines of an open checkpoint. Of a line with more than `MAX_LINE_BYTES` only so much that it is too long.

    Raises OSError, EFBIG if the file has more than `MAX_BYTES`.
    """
    position, rest = 0, b""
    while piece := own_files.read_at(fd, _PIECE_BYTES, position):
        position += len(piece)
        if max(position, os.fstat(fd).st_size) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"has more than {MAX_BYTES:,} bytes")
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[: MAX_LINE_BYTES + 1]
        yield from filter(None, lines)
    if rest:
        yield rest


def parse(line: bytes) -> CheckpointEntry | None:
    """The entry of a line; None if the line is torn or no valid entry."""
    possible = line.startswith(_HEAD) and len(line) <= MAX_LINE_BYTES
    value: Any = envelope.decode_line(line) if possible else None
    if value is None:
        return None
    outlet, to, delivered = value.get("outlet"), value.get("to"), value.get("delivered")
    refused, again, mark = value.get("refused", {}), value.get("again", []), value.get("mark", "")
    valid = (
        isinstance(outlet, str)
        and len(outlet) <= MAX_TEXT
        and _is_count(to)
        and _is_count(delivered)
        and isinstance(refused, dict)
        and len(refused) <= MAX_REASONS + 1
        and all(len(reason) <= MAX_TEXT and _is_number(count) for reason, count in refused.items())
        and isinstance(again, list)
        and len(again) <= MAX_AGAIN
        and all(map(_is_count, again))
        and all(map(operator.lt, again, [*again[1:], to]))
        and isinstance(mark, str)
        and len(mark) <= MAX_TEXT
    )
    return CheckpointEntry(outlet, to, delivered, refused, again, mark) if valid else None


def is_damaged(line: bytes) -> bool:
    """Whether an invalid line is complete. An incomplete one was torn by a kill or a full disk."""
    return len(line) > MAX_LINE_BYTES or line.rstrip().endswith(b"}")


def _is_number(value: object) -> bool:
    return type(value) is int and -MAX_NUMBER <= value <= MAX_NUMBER


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _count(sums: Counter[str], refused: Mapping[str, int]) -> None:
    """Add refusals to `sums`, which keeps texts and a number of reasons that `parse` accepts."""
    for long, count in refused.items():
        reason = text.truncate(long, MAX_TEXT)
        full = reason not in sums and len(sums) >= MAX_REASONS
        sums[OTHER_REASONS if full else reason] += count


def sums_of(entries: Iterable[CheckpointEntry]) -> tuple[dict[str, Position], int]:
    """The progress of each outlet after these entries, and the number of entries of too many outlets."""
    found, excess = dict[str, Position](), 0
    for entry in entries:
        progress = found.get(entry.outlet)
        if progress is None:
            if len(found) >= MAX_OUTLETS:
                excess += 1
                continue
            progress = found[entry.outlet] = Position()
        progress.add(entry)
    return found, excess


def lacking(noted: Mapping[str, Position], there: Mapping[str, Position]) -> list[CheckpointEntry]:
    """The entries that bring a file with the progress `there` to what was `noted`."""
    found = []
    for outlet, progress in noted.items():
        before = there.get(outlet) or Position()
        refused = progress.refused.copy()
        refused.subtract(before.refused)
        change = {reason: count for reason, count in refused.items() if count}
        delivered = max(0, progress.delivered - before.delivered)
        if delivered or change or (progress.offset, progress.retry) != (before.offset, before.retry):
            found.append(CheckpointEntry(outlet, progress.offset, delivered, change, progress.retry))
    return found
