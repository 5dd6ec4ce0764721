"""Unpack `.trn` files, the requests that SDKs of Application Insights keep on disk.

* The .NET SDK and tools with it (`TransmissionExtensions.Save`) write the address, `Content-Type:…` and
  `Content-Encoding:…` as lines, an empty line, and the body in base64. The body is gzip or plain.
* The Java agent since 3.4 (`LocalFileWriter`) writes the number 1, the connection string, the length of the body, and
  the body in gzip. Numbers have 4 bytes, and the length of the string has 2. Before, it wrote the key and gzip.
* The Java SDK 2 writes a serialized object of Java that contains gzip.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator
from typing import BinaryIO

SUFFIX = ".trn"
_GZIP_MAGIC = b"\x1f\x8b\x08"
_HEAD_BYTES = 4096  # the gzip body of the binary forms begins in them
_HEADERS = (b"content-type", b"content-encoding")
_CHUNK_BYTES = 64 * 1024
_GROUP = 4  # characters of base64 that are decoded together
_MAX_INFLATED = 1024 * 1024  # bytes at a time


class BrokenTransmissionError(Exception):
    """The file is in none of the forms, or its body is damaged."""


def unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Yield the body of a transmission. Raises BrokenTransmissionError, also after a part of the body."""
    head = file.read(_HEAD_BYTES)
    start = _body_start(head)
    if start is not None:
        file.seek(start)
        yield from _inflated(_decoded(file)) if _is_gzip(head) else _decoded(file)
        return
    start = head.find(_GZIP_MAGIC)
    if start < 0:
        raise BrokenTransmissionError("is in no known form of a transmission")
    file.seek(start)
    yield from _inflated(iter(lambda: file.read(_CHUNK_BYTES), b""))


def _body_start(head: bytes) -> int | None:
    """Return the offset of the base64 body behind the headers, or None without them."""
    lines = head.split(b"\n", 4)
    names = tuple(line.partition(b":")[0].strip().lower() for line in lines[1:3])
    if len(lines) < 5 or names != _HEADERS or lines[3].strip():
        return None
    return sum(len(line) + 1 for line in lines[:4])


def _is_gzip(head: bytes) -> bool:
    return head.split(b"\n", 4)[2].partition(b":")[2].strip().lower() == b"gzip"


def _decoded(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        rest += b"".join(chunk.split())
        whole = len(rest) - len(rest) % _GROUP
        try:
            yield base64.b64decode(rest[:whole], validate=True)
        except binascii.Error as error:
            raise BrokenTransmissionError("its base64 is damaged") from error
        rest = rest[whole:]
    if rest:
        raise BrokenTransmissionError("its base64 is torn")


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of gzip bytes. Bytes behind their end belong to Java's object and are ignored."""
    decoder = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        rest = chunk
        while rest and not decoder.eof:
            try:
                yield decoder.decompress(rest, _MAX_INFLATED)
            except zlib.error as error:
                raise BrokenTransmissionError("its gzip is damaged") from error
            rest = decoder.unconsumed_tail
        if decoder.eof:
            return
    raise BrokenTransmissionError("its gzip is torn")
