"""Read a driver log as the lines that a terminal shows, in bounded memory.

A log file has the bytes that a script and its libraries wrote: UTF-8 with errors, a byte order mark, colours, and
progress bars. A bar draws its line again after each carriage return. So a line is its text after the last one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from amllog.insights.stores.local.other_formats import open_for_reading

CHUNK_BYTES = 256 * 1024
MAX_LINE = 100_000  # characters. A longer line is returned in pieces
# A sequence of the operating system (a title, a link), one with parameters (a colour, a movement), another escape, a
# backspace with the character before it, or a byte order mark.
_CODES = re.compile(
    r"\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?|[^\x08\n]?\x08|\ufeff"
)
_SPECIAL = re.compile("[\r\x1b\x08\ufeff]")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends. Bytes that are not UTF-8 are replaced by U+FFFD.

    Raises OSError if the path is no regular file or cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    pending = ""
    with open_for_reading(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            *lines, pending = (pending + decoder.decode(chunk)).split("\n")
            for line in lines:
                if len(line) <= MAX_LINE:
                    yield shown_text(line)
                else:
                    yield from _pieces(line)
            if len(pending) > MAX_LINE:
                pending = _without_overdrawn(pending)
            while len(pending) > MAX_LINE:
                yield shown_text(pending[:MAX_LINE])
                pending = pending[MAX_LINE:]
        pending += decoder.decode(b"", final=True)
    if pending:
        yield from _pieces(pending)


def shown_text(line: str) -> str:
    """Return the text of a line that a terminal shows in the end: after the last carriage return, without colours."""
    if _SPECIAL.search(line) is None:
        return line
    text = line.rstrip("\r").rpartition("\r")[2]
    return _CODES.sub("", text)


def _pieces(line: str) -> Iterator[str]:
    """Yield the text of a line, in pieces if it is too long."""
    text = shown_text(line)
    for start in range(0, max(len(text), 1), MAX_LINE):
        yield text[start : start + MAX_LINE]


def _without_overdrawn(pending: str) -> str:
    """Return the begun line without the states of a progress bar that later states have replaced."""
    end = "\r" if pending.endswith("\r") else ""
    return pending.rstrip("\r").rpartition("\r")[2] + end
