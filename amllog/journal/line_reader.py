"""Read the bytes of a journal file and split them into lines, in limited time and memory for all contents.

Each record is one piece. All blank or foreign lines between two records are one piece as well.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from amllog.journal.signature import LINE_HEAD
from amllog.process import interrupts

MAX_LINE_BYTES = 1024 * 1024  # of one line. The journal writes at most 64 KiB
_SHORT_LINE_BYTES = 64  # a record is longer, so if lines are shorter on average, many are not records


def read_whole_lines(read: Callable[[int, int], bytes], fd: int, start: int, max_bytes: int) -> bytes:
    """Read about `max_bytes` from `start` to the end of a line. Return b"" at the end of the file.

    A line of more than `MAX_LINE_BYTES` cannot be a record, and a part of it is returned. `read` takes a count and an
    offset.
    """
    data = read(max_bytes, start)
    while data and b"\n" not in data:
        if len(data) >= MAX_LINE_BYTES:
            return data if _has_data_after(fd, start) else b""
        more = read(min(MAX_LINE_BYTES, max(max_bytes, len(data))), start + len(data))
        if not more:
            return b""  # torn, or not completely written yet
        data += more
    return data[: data.rfind(b"\n") + 1] or data


def split(data: bytes) -> list[bytes]:
    """Return the lines of `data` in order, newline included. Lines that are not records may come as one piece."""
    if b"\r" in data or data.count(b"\n") * _SHORT_LINE_BYTES > len(data):
        return list(_records_and_rest(data))
    return data.splitlines(keepends=True)


def _has_data_after(fd: int, offset: int) -> bool:
    """Return whether a file has data after `offset`. The hole at the end of a sparse file is not data."""
    if not hasattr(os, "SEEK_DATA"):
        return True
    try:
        os.lseek(fd, offset, os.SEEK_DATA)  # readers and writers do not use the position of the descriptor
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return error.errno != errno.ENXIO
    return True


def _records_and_rest(data: bytes) -> Iterator[bytes]:
    start, next_record = 0, b"\n" + LINE_HEAD
    while start < len(data):
        if data.startswith(LINE_HEAD, start):
            end = data.find(b"\n", start) + 1
        else:  # the first search is fast, also in blank lines
            end = data.find(LINE_HEAD, start) + 1 and data.find(next_record, start) + 1
        end = end or len(data)
        yield data[start:end]
        start = end
