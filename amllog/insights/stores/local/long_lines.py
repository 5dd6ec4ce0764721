"""Check the lines of a file without reading all of it: lines that are too long, and an unfinished last line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.other_formats import open_for_reading

_BLOCK_BYTES = 64 * 1024


def has_long_line(path: Path, start: int, end: int) -> bool:
    """Return whether a line between two offsets has more than MAX_LINE_BYTES.

    Reads only the end of each block of that length if it has a line end. Raises OSError if the file cannot be read.
    """
    if end - start <= MAX_LINE_BYTES:
        return False
    with open_for_reading(path) as file:
        while end - start > MAX_LINE_BYTES:
            next_line = _after_last_line_end(file, start, start + MAX_LINE_BYTES)
            if next_line is None:
                return True
            start = next_line
    return False


def _after_last_line_end(file: BinaryIO, start: int, end: int) -> int | None:
    """Return the offset after the last line end between two offsets, or None without one."""
    while end > start:
        block_start = max(start, end - _BLOCK_BYTES)
        file.seek(block_start)
        index = file.read(end - block_start).rfind(b"\n")
        if index >= 0:
            return block_start + index + 1
        end = block_start
    return None


def has_unfinished_line(path: Path) -> bool:
    """Return whether the last line has no end, because its writer was killed or is writing it right now."""
    try:
        with open_for_reading(path) as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False


def reason(path: Path) -> str:
    """Return why a file could not be read."""
    try:
        if has_long_line(path, 0, path.stat().st_size):
            return f"has a line of more than {MAX_LINE_BYTES:,} bytes"
        open_for_reading(path).close()
    except OSError as error:
        return error.strerror or str(error)
    return "cannot be read as lines of JSON"
