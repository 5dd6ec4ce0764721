"""Detect why the journal cannot append to its segment: it was replaced, truncated or overwritten.

The result is one sentence for the user. The segment is repaired where this is possible.
"""

from __future__ import annotations

import os

from amllog.journal import own_files
from amllog.journal.segment import Segment
from amllog.journal.signature import LINE_HEAD
from amllog.process.interrupts import is_from_signal

_REPLACED = (
    "another part of this process has closed or reused the descriptor of the journal file:"
    " a new journal file was started, and {}"
)
_KEPT, _GONE = "no record is lost", "waiting records of the former file are counted as refused"
_CHANGED = "another program has {} the journal file {}: a new one was started, and lost records are counted"
_MAX_LINE_BYTES = 64 * 1024


def damage_of(segment: Segment) -> str:
    """Return the reason why nothing can be appended, or "". For a segment that has failed the quick check."""
    if segment.displaced:
        return segment.displaced
    try:
        if not segment.is_file_of(os.fstat(segment.fd)) or not segment.open_again():
            return _replaced(segment)
        known = segment.known_bytes  # read before the size, because other threads write meanwhile
        size = os.fstat(segment.fd).st_size
        if size < known:
            return _CHANGED.format("truncated", segment.path)
        if size > known:
            if not _has_record_at(segment.fd, known):
                return _CHANGED.format("overwritten", segment.path)
            segment.accept_size(size)  # a signal handler has logged during a write
    except (OSError, ValueError) as error:  # ValueError: the file is closed, its descriptor is -1
        if is_from_signal(error):
            raise
        return _replaced(segment)
    return ""


def _replaced(segment: Segment) -> str:
    return _REPLACED.format(_KEPT if segment.is_in_place() else _GONE)


def _has_record_at(fd: int, offset: int) -> bool:
    """Return whether the line at `offset` begins as a record does."""
    start = max(0, offset - _MAX_LINE_BYTES)
    data = own_files.read_at(fd, offset - start + len(LINE_HEAD), start)
    return data.startswith(LINE_HEAD, data.rfind(b"\n", 0, offset - start) + 1)
