"""Recognizing segments by their names and their first lines."""

from __future__ import annotations

import pytest

from amllog.journal.lock import file_node
from amllog.journal.own_files import HEAD_BYTES
from amllog.journal.signature import SEGMENT_NAME, has_records, is_line, is_segment
from amllog.record import envelope

NAME = "20260101T000000-node_1-4711-0a0b0c.jsonl"
MESSAGE = {"message": "m", "properties": {}}
LINES = [envelope.encode_record(1.8e9, key, {}, "MessageData", MESSAGE) for key in ("0" * 36, "", None)]
FOREIGN = [
    b" ",
    b"\n",
    b"\0" * HEAD_BYTES,
    b"{\n",
    b'{\n  "my": "JSON of several lines"\n}\n',
    b"\nmy notes, first line empty\n",
    b"\n" + LINES[0],
    b'{"ti\nabc\n',
    b'{"time":"2026-01-01T00:00:00.000000Z"\nabc\n',
    b'{"time": "2026-01-01 10:00", "level": "INFO"}\n',
    b'{"time":"2026-01-01T10:00:00Z","level":"INFO"}\n',
    b'{"time":"2026-01-01T10:00:00.000000Z","ver":1,"name":"my name"}\n',
    b"\xef\xbb\xbf" + LINES[0],
]


@pytest.mark.parametrize("line", LINES)
def test_own_lines(line: bytes) -> None:
    """A file is a segment while its first line is being written, and after a torn first line."""
    for end in range(len(line) + 1):
        assert is_segment(NAME, line[:end][:HEAD_BYTES])
        assert has_records(NAME, line[:end] + b"\n" + line) == (end > 0)
        assert is_line(line[:end] + b"\n") == (end > 0)
    assert has_records(NAME, line[:5] + b"\n\n" + line[:7] + b"\n" + line)


@pytest.mark.parametrize("line", LINES)
def test_rewritten_lines(line: bytes) -> None:
    """A copy with a space after each colon and comma is a segment as well."""
    assert is_segment(NAME, line.replace(b'":', b'": ').replace(b',"', b', "'))


@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_content(content: bytes) -> None:
    """A file of the user is not a segment, even with the name of one."""
    assert not is_segment(NAME, content[:HEAD_BYTES])
    assert not has_records(NAME, content[:HEAD_BYTES])


def test_names() -> None:
    """Only names that amllog writes are names of segments. A node has no hyphens in them."""
    for node in ("node", "a-b c", "ü.x", "", "n" * 100):
        assert SEGMENT_NAME.match(f"20260101T000000-{file_node(node)}-1-0a0b0c.jsonl")
    for name in (
        "20260101T000000-my-run-2026-cafe.jsonl",
        "20260101T000000--1-0a0b0c.jsonl",
        NAME + "\n",
        "x" + NAME,
        NAME.replace("4711", "٤٧"),
    ):
        assert not SEGMENT_NAME.match(name)
        assert not is_segment(name, LINES[0])
