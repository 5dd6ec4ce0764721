"""Convert files of other programs to one envelope per line: compressed files, arrays, indented JSON and exports.

Examples are the `.blob` files of an exporter, the `PT1H.json` of diagnostic settings and a request body in a file. The
converted files are in the temporary directory of the process. A file is ignored if its start shows no envelope.
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
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from amllog.insights.stores.local import temporary_directory
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.formats import continuous_export, exported_rows, transmissions

SUFFIXES = frozenset({".json", ".ndjson", ".log", ".txt", ".gz", ".blob", ".lock", transmissions.SUFFIX})
# Exporters rename a `.blob` file to `.lock` while they send it, and then delete it. So both are copied.
_TRANSIENT_SUFFIXES = (".blob", ".lock", transmissions.SUFFIX)
_GZIP_MAGIC = b"\x1f\x8b"
_HEAD_BYTES = 64 * 1024  # the service accepts no longer envelope
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024  # of one file
MAX_RATIO = 200  # uncompressed to compressed bytes. Logs have 10 to 50.
_UNLIMITED_RATIO_BYTES = 16 * 1024 * 1024  # up to this size, any ratio is accepted
_SEPARATORS = re.compile(r"[ \t\r\n,\[\]]*(?:\}\s*$)?")  # a bracket may close `{"records": [`
_RECORDS = re.compile(
    rb'\s*\{\s*"records"\s*:\s*(?=\[)'
)  # of Event Hubs, and of diagnostic settings until 2018
_DAMAGED = "is a damaged transmission, or of another form: let its program send it"
_CUT = b"\n{cut\n"  # an invalid line in place of content that cannot be read
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LONGEST_WORD = len("-Infinity, ")
_INVALID_CHARACTERS = 200  # of an invalid value: enough to keep it from being a valid line
_INVALID_JSON = (ValueError, RecursionError)


def is_candidate(path: Path) -> bool:
    """Return whether a file in a directory may have envelopes, by its name."""
    return path.suffix in SUFFIXES and not path.name.startswith(".")


class Converted(NamedTuple):
    """A file with one envelope per line. `left_out`: the number of rows of other tables, by table."""

    path: Path
    left_out: dict[str, int]


@lru_cache(maxsize=4096)
def convert_to_lines(path: Path, size: int, modified: int) -> Converted | str | None:
    """Return a file with the same envelopes, one per line.

    This is the file itself if it has that form already. None: it has no envelopes. A string: why it cannot be read.
    `size` and `modified` identify the state of the file in the cache. Raises OSError if it cannot be opened.
    """
    del modified
    with _open_unpacked(path) as file:
        max_bytes = min(MAX_UNPACKED_BYTES, max(_UNLIMITED_RATIO_BYTES, size * MAX_RATIO))
        chunks, head = _content(path, file), b""
        for chunk in chunks:
            head += chunk
            if len(head) >= _HEAD_BYTES:
                break
        text = head.removeprefix(codecs.BOM_UTF8)
        is_exported = bool(exported_rows.FORM.search(text) or continuous_export.FORM.search(text))
        if text.lstrip()[:1] not in (b"{", b"[") or not (is_exported or b'"baseType"' in text):
            return _DAMAGED if path.suffix == transmissions.SUFFIX else None
        wrapper = _RECORDS.match(text)
        text = text[wrapper.end() :] if wrapper else text
        is_lines = _is_object(text.lstrip().partition(b"\n")[0])
        is_plain = text == head and not isinstance(file, gzip.GzipFile) and not _is_utf16(file)
        if is_lines and is_plain and not is_exported and path.suffix not in _TRANSIENT_SUFFIXES:
            return Converted(path, {})
        left_out: Counter[str] = Counter()
        with _new_file(path.name) as converted:
            content = _limited(chain([text], chunks), max_bytes)
            as_lines = is_lines and not is_exported
            try:
                can_resume = is_exported and b"\n{" in text
                converted.writelines(
                    content if as_lines else _values(content, left_out, can_resume=can_resume)
                )
            except _TooLargeError as error:
                os.unlink(converted.name)
                return str(error)
    return Converted(Path(converted.name), dict(left_out))


class _TooLargeError(Exception):
    """The content of a file is beyond the limits."""


def _limited(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise _TooLargeError(f"has more than {max_bytes:,} bytes unpacked")
        yield chunk


def open_for_reading(path: Path) -> BinaryIO:
    """Open a regular file, without following a link and without waiting for the writer of a FIFO.

    Raises OSError if it is not a regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(fd, "rb")


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file as they are. b"" if it cannot be opened."""
    try:
        with open_for_reading(path) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _content(path: Path, file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Yield the content as UTF-8. If the rest cannot be read, as in a torn gzip file, an invalid line follows.

    That line is counted with the lines that could not be read.
    """
    try:
        if path.suffix == transmissions.SUFFIX and not isinstance(file, gzip.GzipFile):
            yield from transmissions.unpacked(file)
            return
        encoding = _ENCODINGS.get(file.read1(2)) if _is_utf16(file) else None  # type: ignore[union-attr]  # see below
        decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        while chunk := file.read1(_HEAD_BYTES):  # type: ignore[union-attr]  # a buffered reader, or gzip's
            yield decoder.decode(chunk).encode() if decoder else chunk
    except (OSError, EOFError, zlib.error, transmissions.BrokenTransmissionError):
        yield _CUT


def _is_utf16(file: BinaryIO | gzip.GzipFile) -> bool:
    """Return whether a plain file begins with the mark of UTF-16, as PowerShell writes it."""
    if isinstance(file, gzip.GzipFile):
        return False
    position = file.tell()
    file.seek(0)
    is_utf16 = file.read(2) in _ENCODINGS
    file.seek(position)
    return is_utf16


def _new_file(name: str) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(
        dir=temporary_directory.process_directory(), prefix=f"{name[:100]}-", suffix=".jsonl", delete=False
    )


def _open_unpacked(path: Path) -> BinaryIO | gzip.GzipFile:
    file = open_for_reading(path)
    is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_gzip else file


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except _INVALID_JSON:
        return False


def _values(chunks: Iterator[bytes], left_out: Counter[str], *, can_resume: bool) -> Iterator[bytes]:
    """Yield every JSON value as a line. The items of an array are lines of their own, and its end may be missing.

    After an invalid value, the values continue at the next line with `can_resume`. Otherwise it is the last line.
    One value at a time is in memory. Raises _TooLargeError if a value is longer than a line may be.
    `left_out` counts the exported rows of other tables.
    """
    json_decoder, decoder = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")("replace")
    text, needed = "", 0
    for chunk in chain(chunks, [b""]):
        text += decoder.decode(chunk, final=not chunk)
        if chunk and len(text) < needed:
            continue
        position = _next_value(text, 0)
        while position < len(text):
            try:
                value, end = json_decoder.raw_decode(text, position)
            except _INVALID_JSON as error:
                next_line = text.find("\n{", position) + 1 if can_resume else 0
                if chunk and (_is_incomplete(error, len(text)) or (can_resume and not next_line)):
                    break
                yield " ".join(text[position : position + _INVALID_CHARACTERS].split()).encode() + b"\n"
                if not next_line:
                    return
                position = _next_value(text, next_line)
                continue
            if chunk and end == len(text):  # a number may continue in the next chunk
                break
            for envelope in _envelopes(value, left_out):
                line = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
                yield line.encode("utf-8", "replace") + b"\n"
            position = _next_value(text, end)
        text = text[position:]
        needed = 2 * len(text)  # so that a long value is not parsed again for each chunk
        if len(text) > MAX_LINE_BYTES:
            raise _TooLargeError(f"has a value of more than {MAX_LINE_BYTES:,} characters")


def _envelopes(value: object, left_out: Counter[str]) -> list[object]:
    """Return the envelopes of a value: itself, or those of an exported row or document."""
    if not isinstance(value, dict) or "data" in value:
        return [value]
    if exported_rows.is_row(value):
        envelope = exported_rows.to_envelope(value)
        left_out.update([exported_rows.table_of(value)] if envelope is None else [])
        return [envelope] if envelope else []
    return [*continuous_export.to_envelopes(value)] if continuous_export.is_document(value) else [value]


def _next_value(text: str, position: int) -> int:
    """Return the position of the next value."""
    separators = _SEPARATORS.match(text, position)
    return separators.end() if separators else position


def _is_incomplete(error: Exception, size: int) -> bool:
    """Return whether a value is incomplete and not invalid, in a string of this length."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos > size - _LONGEST_WORD or error.msg.startswith("Unterminated string")
