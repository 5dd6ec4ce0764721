"""Recognize a segment by its name and by the beginning of its first line.

The user's files may be JSON lines with a time, and may even have a segment's name. So everything that the lines of all
segments have in common is compared.
"""

from __future__ import annotations

import re

SEGMENT_NAME = re.compile(
    r"[0-9]{8}T[0-9]{6}-(?P<node>[A-Za-z0-9_.]{1,60})-(?P<pid>[0-9]{1,10})-[0-9a-f]{4,8}\.jsonl\Z"
)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
KEY = re.compile(r'[^"\\\n]{0,200}')
LINE_HEAD = b'{"time":"'
# A copy that another program has written may have a space after each colon and comma, as JSON libraries write.
_BEGINNING = re.compile(
    (
        rf'\{{"time": ?"{TIME.pattern}",(?: ?"iKey": ?"{KEY.pattern}",)?'
        r' ?"ver": ?1, ?"name": ?"Microsoft\.ApplicationInsights\.'
    ).encode()
)
_EXAMPLES = tuple(
    b'{"time":"2026-01-01T00:00:00.000000Z",%b"ver":1,"name":"Microsoft.ApplicationInsights.' % key
    for key in (b"", b'"iKey":"",')
)


def is_segment(name: str, head: bytes) -> bool:
    """Return whether a file is a segment, by its name and its first bytes (at most `HEAD_BYTES`).

    An empty file counts as a segment, and so does a file with one incomplete line.
    """
    return has_records(name, head) or (
        bool(SEGMENT_NAME.match(name)) and b"\n" not in head and _is_torn(head)
    )


def has_records(name: str, head: bytes) -> bool:
    """Return whether a segment has a line that begins as all records do. Torn lines may precede it."""
    lines = head.split(b"\n")
    first = next((number for number, line in enumerate(lines) if _BEGINNING.match(line)), -1)
    return bool(SEGMENT_NAME.match(name) and first >= 0 and lines[0]) and all(map(_is_torn, lines[:first]))


def is_line(line: bytes) -> bool:
    """Return whether a line of a segment is a record, or the beginning of a torn one."""
    torn = line.rstrip(b"\n")
    return line.startswith(LINE_HEAD) or (torn != b"" and _is_torn(torn))


def _is_torn(line: bytes) -> bool:
    """Return whether the line can be continued to the beginning of a record."""
    tails = (example[start:] for example in _EXAMPLES for start in range(len(example) + 1))
    return any(_BEGINNING.fullmatch(line + tail) for tail in tails)
