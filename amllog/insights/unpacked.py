"""Envelopes that do not stand one a line in a `*.jsonl`: other names, gzip, arrays, indented JSON → files of lines.

In: files of other programs, such as the `.blob` files of an exporter or a body as it was posted. Out: files of lines,
in a temporary folder that goes with the process. A file whose beginning shows no envelope is nobody's business here.
"""

from __future__ import annotations

import codecs
import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO

# .lock: of an exporter that is at work
SUFFIXES = frozenset({".json", ".ndjson", ".log", ".txt", ".gz", ".blob", ".lock"})
_MOVED = (".blob", ".lock")  # renamed and removed while they are read
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 64 * 1024  # the service takes no longer envelope
_UNREADABLE = (ValueError, RecursionError)  # no JSON, or nested too deep


def is_candidate(path: Path) -> bool:
    """Whether a file in a folder may hold envelopes, by its name."""
    return path.suffix in SUFFIXES and not path.name.startswith(".")


@lru_cache(maxsize=4096)
def lines(path: Path, size: int, changed: int) -> Path | None:
    """The file that holds the same envelopes one a line: itself where they stand so; None where it shows none.

    `size` and `changed` tell one state of the file from the next. OSError where it cannot be read.
    """
    del size, changed
    with _opened(path) as file:
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
            if is_lines:
                made.writelines(chain([text], pieces))
            else:
                made.writelines(_values(b"".join(chain([text], pieces)).decode("utf-8", "replace")))
    return Path(made.name)


def _pieces(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """What can be read. Where the rest cannot (a gzip file that is torn), a line says so that is no envelope: it is
    counted with those that could not be read."""
    try:
        while piece := file.read1(_HEAD_BYTES):  # type: ignore[union-attr]  # a buffered reader, or gzip's
            yield piece
    except (OSError, EOFError, zlib.error):
        yield b"\n{cut\n"


def _new_file(name: str) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(dir=_folder().name, prefix=f"{name}-", suffix=".jsonl", delete=False)


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.GzipFile(path) if packed else path.open("rb")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except _UNREADABLE:
        return False


def _values(text: str) -> Iterator[bytes]:
    """Every object of a text of JSON as a line, those in arrays by themselves: an array may lack its end. What cannot
    be read is one line as it stands."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in " \t\r\n,[]":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except _UNREADABLE:
            yield " ".join(text[at:].split()).encode() + b"\n"
            return
        yield json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="amllog-lines-")
