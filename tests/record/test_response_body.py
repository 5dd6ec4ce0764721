"""The body of an HTTP response, decoded up to a limit of bytes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from amllog.record.response_body import decode_body

BODY = b"0123456789" * 100
GZIP = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("pieces", "encoding", "limit", "expected"),
    [
        ([BODY], "", 1_000, BODY),
        ([BODY[:400], BODY[400:]], " Identity ", 1_000, BODY),
        ([BODY], "", 999, None),
        ([GZIP], "gzip", 1_000, BODY),
        ([GZIP[:9], GZIP[9:]], "X-GZIP", 1_000, BODY),
        ([GZIP], "gzip", 999, None),
        ([GZIP[:-9]], "gzip", 1_000, None),
        ([GZIP + b"more"], "gzip", 1_000, None),
        ([b"not gzip"], "gzip", 1_000, None),
        ([], "gzip", 1_000, b""),
        ([], "", 0, b""),
        ([BODY], "br", 1_000, None),
        ([BODY], "gzip, gzip", 1_000, None),
    ],
)
def test_decode_body(pieces: list[bytes], encoding: str, limit: int, expected: bytes | None) -> None:
    """A body within the limit is decoded. Others, incomplete ones and unknown encodings are rejected."""
    assert decode_body(pieces, encoding, limit) == expected


def test_reading_ends_at_the_limit() -> None:
    """No further piece is read once the limit is exceeded, also in a small body that decodes to a large one."""
    read = 0

    def pieces(piece: bytes) -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield piece

    assert decode_body(pieces(b"x" * 10), "", 25) is None
    assert read == 3
    assert decode_body(pieces(gzip.compress(b"\0" * 10_000_000)), "gzip", 1_000_000) is None
    assert read == 4
