"""Recover a segment that others have renamed, deleted or replaced while its process writes or delivers it.

The segment is not at its path any more, and nothing is appended to it. The result is segments with names that readers
find, in which the same records wait. There are three cases:

* The file has another name that a segment can have. It is used under that name, with its checkpoint beside it.
* Another segment is at the path, such as a copy that `sed -i` has written. Its records are left to it. Records that it
  lacks are copied to a new segment.
* No reader finds the file. It is copied to a new segment, if an outlet still wants one of its records.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from amllog.journal import own_files
from amllog.journal.checkpoint import Checkpoint
from amllog.journal.checkpoint_entries import MAX_RETRIES, CheckpointEntry
from amllog.journal.directory import claim, open_read_only
from amllog.journal.disk_usage import is_fully_settled
from amllog.journal.outlets import OUTLETS, is_meant_for
from amllog.journal.segment import Segment
from amllog.journal.signature import SEGMENT_NAME
from amllog.process import descriptors
from amllog.record.envelope import decode_line, is_complete

_PIECE_BYTES = 1024 * 1024


def is_readable(path: Path | None) -> bool:
    """Return whether readers find a segment at this path."""
    return path is not None and bool(SEGMENT_NAME.match(path.name))


def recover(
    segment: Segment, path: Path | None, new: Callable[[], Segment], outlets: Sequence[str], node: str
) -> list[Segment]:
    """Return the segments that replace this one. `new` creates a segment. Raises OSError if that is not possible now.

    `path`: the present path of the file, or None if it has none.
    """
    if path is not None and is_readable(path):
        segment.move(path)
        return [segment]
    if other := _segment_at(segment.path, node):
        return _leave_to(other, segment, new, node)
    if not is_fully_settled(segment, outlets):
        _copy(segment, path, new)
    elif path is None:
        segment.remove()
    else:  # it may get its name back, so the checkpoint stays
        segment.count_missing()
        segment.close()
    return [segment]


def _segment_at(path: Path, node: str) -> Segment | None:
    """Return the segment at the path if it has records. It is locked unless another process holds it."""
    segment = claim(path, node)
    if segment is None and (segment := open_read_only(path)):
        segment.disown()
    if segment is not None and not segment.count_records():
        segment.close()
        return None
    return segment


def _copy(segment: Segment, path: Path | None, new: Callable[[], Segment]) -> None:
    """Move the segment to a new file with the same bytes."""
    former, identity, size = segment.path, segment.identity, segment.size
    with _created(new) as copy:
        offset = 0
        while piece := own_files.read_at(segment.fd, _PIECE_BYTES, offset):
            _write_all(copy.fd, piece)
            offset += len(piece)
        segment.move(copy.path, copy)
    if path is not None:  # if the file gets its name back, nothing of it is sent
        checkpoint = Checkpoint(former, identity)
        for outlet in {*OUTLETS, *segment.outlets}:
            checkpoint.append(CheckpointEntry(outlet, size, 0, {}, []))
        checkpoint.close()


@contextlib.contextmanager
def _created(new: Callable[[], Segment]) -> Iterator[Segment]:
    """Create a segment for the block. Delete it if the block raises: its records would be sent twice."""
    segment = new()
    identity = segment.identity
    try:
        yield segment
    except BaseException:
        own_files.delete_if_same(segment.path, identity)
        descriptors.close_if_same(segment.fd, identity)
        raise


def _leave_to(other: Segment, segment: Segment, new: Callable[[], Segment], node: str) -> list[Segment]:
    """Return the segment that is now at the path, and a new one with the records that it lacks."""
    lines = list(_records(segment))
    offsets = {_record_id(line): offset for offset, line in lines}
    # For each record of the other segment: its offset there, the line, and its offset in this segment.
    others = [(offset, line, offsets.get(_record_id(line), -1)) for offset, line in _records(other)]
    ids = {_record_id(line) for _, line, _ in others}
    names = {*OUTLETS, *segment.outlets}
    rest = [
        (offset, line)
        for offset, line in lines
        if _record_id(line) not in ids and not all(_is_settled(segment, name, offset, line) for name in names)
    ]
    copies = [_copy_lines(segment, rest, new)] if rest else []
    if other.is_locked and not _is_ahead(other, segment):
        segment.checkpoint.move(other.path, other.identity)
        for name in segment.outlets:
            states = [
                (offset, len(line), before >= 0 and segment.is_line_settled(name, before))
                for offset, line, before in others
            ]
            end, retry, _ = _position(states)
            segment.checkpoint.append(CheckpointEntry(name, end, 0, {}, retry))
    segment.close()
    other.close()  # the next object reads the checkpoint as it is now
    return [*filter(None, [_segment_at(other.path, node)]), *copies]


def _copy_lines(
    segment: Segment, lines: Collection[tuple[int, bytes]], new: Callable[[], Segment]
) -> Segment:
    """Create a segment with these lines of another one, and the positions of the outlets in them."""
    with _created(new) as copy:
        _write_all(copy.fd, b"".join(line for _, line in lines))
    copy.accept_size(copy.size)
    for name in segment.outlets:
        states, start = list[tuple[int, int, bool]](), 0
        for offset, line in lines:
            states.append((start, len(line), segment.is_line_settled(name, offset)))
            start += len(line)
        end, retry, passed = _position(states)
        if end:
            copy.acknowledge(name, end, 0, Counter(), retry, passed=passed)
    return copy


def _position(states: Iterable[tuple[int, int, bool]]) -> tuple[int, list[int], int]:
    """Return the offset after the last settled line, the lines to retry before it, and the number of lines before it.

    `states`: for each line its offset, its length and whether it is settled.
    """
    end, retry, passed, waiting = 0, list[int](), 0, list[int]()
    for number, (offset, length, settled) in enumerate(states):
        if not settled:
            waiting.append(offset)
        elif len(waiting) <= MAX_RETRIES:
            end, retry, passed = offset + length, list(waiting), number + 1
    return end, retry, passed


def _is_ahead(other: Segment, segment: Segment) -> bool:
    """Return whether another process has already delivered records of the other segment."""
    return any(
        other.position(name).offset > segment.position(name).offset
        or other.position(name).delivered > segment.position(name).delivered
        for name in other.outlets
    )


def _is_settled(segment: Segment, outlet: str, offset: int, line: bytes) -> bool:
    """Return whether the outlet does not want the line, or not any more."""
    return segment.is_line_settled(outlet, offset) or not is_meant_for(outlet, line)


def _records(segment: Segment) -> Iterator[tuple[int, bytes]]:
    """Yield each record with its offset."""
    offset = 0
    for line in segment.lines_from(0):
        if is_complete(line):
            yield offset, line
        offset += len(line)


def _record_id(line: bytes) -> str | bytes:
    """Return the id of a record, or the line if it has none. Other programs may have changed the rest of the line."""
    value: Any = decode_line(line)
    for name in ("data", "baseData", "properties", "record_id"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else line


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
