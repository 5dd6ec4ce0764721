"""Envelopes that do not stand one a line in a `*.jsonl`: other names, gzip, arrays, indented JSON → files of lines.

In: files of other programs, such as the `.blob` files of an exporter or a body as it was posted. Out: files of lines,
in a temporary folder that goes with the process. A file whose beginning shows no envelope is nobody's business here.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import json
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO

from amllog.insights.stores.local import temporary_directory
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES

# .lock: of an exporter that is at work
SUFFIXES = frozenset({".json", ".ndjson", ".log", ".txt", ".gz", ".blob", ".lock"})
_MOVED = (".blob", ".lock")  # renamed and removed while they are read
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 64 * 1024  # the service takes no longer envelope
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024  # of one file
MAX_RATIO = 200  # unpacked to packed bytes; logs have 10 to 50
_FREE_BYTES = 16 * 1024 * 1024  # up to here any ratio is accepted
_BETWEEN = re.compile(r"[ \t\r\n,\[\]]*")
_LONGEST_WORD = len("-Infinity, ")
_SHOWN = 200  # characters of what cannot be read: no envelope, however it goes on
_UNREADABLE = (ValueError, RecursionError)  # no JSON, or nested too deep


def is_candidate(path: Path) -> bool:
    """Whether a file in a folder may hold envelopes, by its name."""
    return path.suffix in SUFFIXES and not path.name.startswith(".")


@lru_cache(maxsize=4096)
def convert_to_lines(path: Path, size: int, modified: int) -> Path | str | None:
    """The file that holds the same envelopes one a line: itself where they stand so; None where it shows none; a text
    that says why where it is beyond the limits.

    `size` and `modified` tell one state of the file from the next. OSError where it cannot be read.
    """
    del modified
    with _opened(path) as file:
        most = min(MAX_UNPACKED_BYTES, max(_FREE_BYTES, size * MAX_RATIO))
        pieces = _pieces(file)
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= _HEAD_BYTES:
                break
        text = head.removeprefix(codecs.BOM_UTF8)
        if text.lstrip()[:1] not in (b"{", b"[") or b'"baseType"' not in text:
            return None
        is_lines = _is_object(text.lstrip().partition(b"\n")[0])
        as_it_is = len(text) == len(head) and not isinstance(file, gzip.GzipFile)
        if is_lines and as_it_is and path.suffix not in _MOVED:
            return path
        with _new_file(path.name) as made:
            try:
                if is_lines:
                    made.writelines(_bounded(chain([text], pieces), most))
                else:
                    made.writelines(_values(_bounded(chain([text], pieces), most)))
            except _TooLargeError as error:
                os.unlink(made.name)
                return str(error)
    return Path(made.name)


class _TooLargeError(Exception):
    """The content of a file is beyond the limits."""


def _bounded(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > most:
            raise _TooLargeError(f"has more than {most:,} bytes unpacked")
        yield piece


def open_for_reading(path: Path) -> BinaryIO:
    """Open a regular file for reading. Does not follow a link in its place, and does not wait for a FIFO's writer.

    OSError if it is not a regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(fd, "rb")


def _pieces(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """What can be read. Where the rest cannot (a gzip file that is torn), a line says so that is no envelope: it is
    counted with those that could not be read."""
    try:
        while piece := file.read1(_HEAD_BYTES):  # type: ignore[union-attr]  # a buffered reader, or gzip's
            yield piece
    except (OSError, EOFError, zlib.error):
        yield b"\n{cut\n"


def _new_file(name: str) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(
        dir=temporary_directory.process_directory(), prefix=f"{name[:100]}-", suffix=".jsonl", delete=False
    )


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    file = open_for_reading(path)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except _UNREADABLE:
        return False


def _values(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Every object of a text of JSON as a line, those in arrays by themselves: an array may lack its end. What cannot
    be read is one line, and the last.

    Holds one value at a time. _TooLarge where one is longer than a line may be.
    """
    decoder, more = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")("replace")
    text, needed = "", 0
    for piece in chain(pieces, [b""]):
        text += more.decode(piece, final=not piece)
        if piece and len(text) < needed:
            continue
        at = _next(text, 0)
        while at < len(text):
            try:
                value, end = decoder.raw_decode(text, at)
            except _UNREADABLE as error:
                if piece and _is_begun(error, len(text)):
                    break
                yield " ".join(text[at : at + _SHOWN].split()).encode() + b"\n"
                return
            if piece and end == len(text):  # a number may go on
                break
            yield (
                json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
                + b"\n"
            )
            at = _next(text, end)
        text = text[at:]
        needed = 2 * len(text)  # so that a long value is not tried with each piece
        if len(text) > MAX_LINE_BYTES:
            raise _TooLargeError(f"has a value of more than {MAX_LINE_BYTES:,} characters")


def _next(text: str, at: int) -> int:
    """The position at which the next value begins."""
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _is_begun(error: Exception, size: int) -> bool:
    """Whether a value is not invalid but goes on after a text of this size."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos > size - _LONGEST_WORD or error.msg.startswith("Unterminated string")
