"""Recovers a segment that others have renamed, deleted or replaced while its process writes or delivers it.

In: a segment whose path no longer stands for its file, and to which nothing is appended any more. Out: segments with
names that readers find, in which the same records wait. Three cases:

* The file has another name that a segment can have: it is used under that name, with its checkpoint beside it.
* Another segment is at the path, such as a copy that `sed -i` has written. The records in it are left to it. Those that
  it lacks are copied to a new segment.
* Nobody finds the file: it is copied to a new segment, if something in it is still wanted.
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
from amllog.journal.checkpoint_entries import MAX_AGAIN, CheckpointEntry
from amllog.journal.directory import claim, open_read_only
from amllog.journal.disk_usage import is_fully_settled
from amllog.journal.outlets import OUTLETS, is_meant_for
from amllog.journal.segment import Segment
from amllog.journal.signature import SEGMENT_NAME
from amllog.process import descriptors
from amllog.record.envelope import decode_line, is_complete

_PIECE_BYTES = 1024 * 1024


def is_readable(path: Path | None) -> bool:
    """Whether a segment at this path is found by others."""
    return path is not None and bool(SEGMENT_NAME.match(path.name))


def recover(
    segment: Segment, path: Path | None, new: Callable[[], Segment], outlets: Sequence[str], node: str
) -> list[Segment]:
    """The segments that take the place of this one. `new` opens one. Raises OSError if there can be none now.

    `path`: what the file is called now, None if it has no name any more.
    """
    if path is not None and is_readable(path):
        segment.move(path)
        return [segment]
    if other := _at(segment.path, node):
        return _left_to(other, segment, new, node)
    if not is_fully_settled(segment, outlets):
        _copy(segment, path, new)
    elif path is None:
        segment.remove()
    else:  # it may get its name back: the checkpoint stays
        segment.count_missing()
        segment.close()
    return [segment]


def _at(path: Path, node: str) -> Segment | None:
    """Return the segment at the path if it has records. It is locked unless another process holds it."""
    segment = claim(path, node)
    if segment is None and (segment := open_read_only(path)):
        segment.is_locked = False
    if segment is not None and not segment.count_records():
        segment.close()
        return None
    return segment


def _copy(segment: Segment, path: Path | None, new: Callable[[], Segment]) -> None:
    """Move the segment to a new file with the same bytes."""
    former, identity, size = segment.path, (segment.device, segment.inode), segment.size
    with _opened(new) as copy:
        position = 0
        while piece := own_files.read_at(segment.fd, _PIECE_BYTES, position):
            _write_all(copy.fd, piece)
            position += len(piece)
        segment.move(copy.path, copy)
    if path is not None:  # the file may get its name back, and nothing of it is sent then
        mark = Checkpoint(former, identity)
        for outlet in {*OUTLETS, *segment.outlets}:
            mark.append(CheckpointEntry(outlet, size, 0, {}, []))
        mark.close()


@contextlib.contextmanager
def _opened(new: Callable[[], Segment]) -> Iterator[Segment]:
    """A new segment, which is closed and deleted if what follows fails: it would be sent beside the other one."""
    segment = new()
    identity = segment.device, segment.inode
    try:
        yield segment
    except BaseException:
        own_files.delete_if_same(segment.path, identity)
        descriptors.close_if_same(segment.fd, identity)
        raise


def _left_to(other: Segment, segment: Segment, new: Callable[[], Segment], node: str) -> list[Segment]:
    """The segment that is now at the path, and a new one with the records that it lacks."""
    lines = list(_records(segment))
    offsets = {_id(line): offset for offset, line in lines}
    theirs = [(offset, line, offsets.get(_id(line), -1)) for offset, line in _records(other)]
    there = {_id(line) for _, line, _ in theirs}
    names = {*OUTLETS, *segment.outlets}
    rest = [
        (offset, line)
        for offset, line in lines
        if _id(line) not in there and not all(_is_settled(segment, name, offset, line) for name in names)
    ]
    found = [_rest(segment, rest, new)] if rest else []
    if other.is_locked and not _is_ahead(other, segment):
        segment.checkpoint.move(other.path, (other.device, other.inode))
        for name in segment.outlets:
            states = [
                (at, len(line), before >= 0 and segment.is_line_settled(name, before))
                for at, line, before in theirs
            ]
            to, again, _ = _progress(states)
            segment.checkpoint.append(CheckpointEntry(name, to, 0, {}, again))
    segment.close()
    other.close()  # to read the checkpoint as it is now
    return [*filter(None, [_at(other.path, node)]), *found]


def _rest(segment: Segment, lines: Collection[tuple[int, bytes]], new: Callable[[], Segment]) -> Segment:
    """A new segment of these lines of another one, as far processed as they are."""
    with _opened(new) as copy:
        _write_all(copy.fd, b"".join(line for _, line in lines))
    copy.known_bytes = copy.size
    for name in segment.outlets:
        states, position = list[tuple[int, int, bool]](), 0
        for offset, line in lines:
            states.append((position, len(line), segment.is_line_settled(name, offset)))
            position += len(line)
        to, again, passed = _progress(states)
        if to:
            copy.acknowledge(name, to, 0, Counter(), again, passed=passed)
    return copy


def _progress(states: Iterable[tuple[int, int, bool]]) -> tuple[int, list[int], int]:
    """The position after the last settled line, what waits before it, and the number of lines before it.

    `states`: for each line its offset, its length and whether it is settled.
    """
    to, again, passed, waiting = 0, list[int](), 0, list[int]()
    for number, (offset, length, settled) in enumerate(states):
        if not settled:
            waiting.append(offset)
        elif len(waiting) <= MAX_AGAIN:
            to, again, passed = offset + length, list(waiting), number + 1
    return to, again, passed


def _is_ahead(other: Segment, segment: Segment) -> bool:
    """Whether another process has already sent something of the other segment."""
    return any(
        other.position(name).offset > segment.position(name).offset
        or other.position(name).delivered > segment.position(name).delivered
        for name in other.outlets
    )


def _is_settled(segment: Segment, outlet: str, offset: int, line: bytes) -> bool:
    """Whether the outlet does not want the line, or not any more."""
    return segment.is_line_settled(outlet, offset) or not is_meant_for(outlet, line)


def _records(segment: Segment) -> Iterator[tuple[int, bytes]]:
    """Each record with its offset."""
    offset = 0
    for line in segment.lines_from(0):
        if is_complete(line):
            yield offset, line
        offset += len(line)


def _id(line: bytes) -> str | bytes:
    """Return the record's id, which stays where another program has changed its text."""
    value: Any = decode_line(line)
    for name in ("data", "baseData", "properties", "record_id"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else line


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
