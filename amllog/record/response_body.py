"""Decode the body of an HTTP response up to a limit of bytes.

The limit applies to the received bytes and to the decoded bytes, because 2 MB of gzip can decode to 2 GB. Without it, a
server would decide how much memory the process uses.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

ACCEPTED = "gzip"  # the value of Accept-Encoding: other encodings are not decoded
PIECE_BYTES = 16 * 1024
_PLAIN = ("", "identity")
_GZIP = ("gzip", "x-gzip")


def decode_body(pieces: Iterable[bytes], encoding: str, most: int) -> bytes | None:
    """Return the decoded body, or None if it exceeds `most` bytes or cannot be decoded.

    `pieces` are the bytes as they arrive, and `encoding` is the Content-Encoding of the response. No further piece is
    read once the limit is exceeded.
    """
    encoding = encoding.strip().lower()
    if encoding not in (*_PLAIN, *_GZIP):  # an encoding that was not requested, or several nested encodings
        return None
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding in _GZIP else None
    body, arrived = bytearray(), 0
    for piece in pieces:
        arrived += len(piece)
        try:
            body += piece if unpack is None else unpack.decompress(piece, most + 1 - len(body))
        except zlib.error:
            return None
        if max(arrived, len(body)) > most or (unpack is not None and unpack.unused_data):
            return None
    is_complete = unpack is None or unpack.eof or not arrived
    return bytes(body) if is_complete else None
