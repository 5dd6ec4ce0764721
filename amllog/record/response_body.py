"""The body of an HTTP answer, up to a limit: no far side decides how much memory the process takes.

In: the bytes as they arrive, piece by piece, and the answer's Content-Encoding. Out: the decoded bytes, or None
if they are beyond the limit or cannot be decoded. The limit is of the bytes on their way and of the decoded ones: 2 MB
of gzip can stand for 2 GB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

ACCEPTED = "gzip"  # what a request asks for: no other encoding is decoded
PIECE_BYTES = 16 * 1024
_PLAIN = ("", "identity")
_GZIP = ("gzip", "x-gzip")


def decode_body(pieces: Iterable[bytes], encoding: str, most: int) -> bytes | None:
    """The decoded body. Takes no further piece once `most` bytes are exceeded."""
    encoding = encoding.strip().lower()
    if encoding not in (*_PLAIN, *_GZIP):  # one that we did not ask for, or several, one around the other
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
    is_whole = unpack is None or unpack.eof or not arrived
    return bytes(body) if is_whole else None
