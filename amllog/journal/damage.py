"""Finds out why the journal cannot append to its file: it was replaced, truncated or overwritten.

In: the segment that the journal writes to. Out: one sentence for the user. Repairs the segment where that is possible.
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
_KEPT, _GONE = "no record is lost", "what waited in the former one is counted as refused"
_CHANGED = "another program has {} the journal file {}: a new one was started, and lost records are counted"
_LONGEST_LINE = 64 * 1024


def damage_of(segment: Segment) -> str:
    """The reason why nothing can be appended, or "". For a segment that has failed the quick check."""
    if segment.displaced:
        return segment.displaced
    try:
        if not segment.is_file_of(os.fstat(segment.fd)) or not segment.open_again():
            return _replaced(segment)
        known = segment.known_bytes  # before the size: other threads write meanwhile
        size = os.fstat(segment.fd).st_size
        if size < known:
            return _CHANGED.format("truncated", segment.path)
        if size > known:
            if not _has_record_at(segment.fd, known):
                return _CHANGED.format("overwritten", segment.path)
            segment.known_bytes = size  # a signal handler has logged during a write
    except (OSError, ValueError) as error:  # ValueError: the file is closed, and its number -1
        if is_from_signal(error):
            raise
        return _replaced(segment)
    return ""


def _replaced(segment: Segment) -> str:
    return _REPLACED.format(_KEPT if segment.is_in_place() else _GONE)


def _has_record_at(fd: int, position: int) -> bool:
    """Whether the line at `position` begins as a record does."""
    start = max(0, position - _LONGEST_LINE)
    data = own_files.read_at(fd, position - start + len(LINE_HEAD), start)
    return data.startswith(LINE_HEAD, data.rfind(b"\n", 0, position - start) + 1)
