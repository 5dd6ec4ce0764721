"""Recognises a journal segment by its name and by how its first line begins.

In: a name and the first bytes of a file. Out: whether amllog has written them. The user's own files may be JSON lines
with a time, and may even have a segment's name: so all that the lines of a segment have in common is compared.
"""

from __future__ import annotations

import re

SEGMENT_NAME = re.compile(
    r"[0-9]{8}T[0-9]{6}-(?P<node>[A-Za-z0-9_.]{1,60})-(?P<pid>[0-9]{1,10})-[0-9a-f]{4,8}\.jsonl\Z"
)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
KEY = re.compile(r'[^"\\\n]{0,200}')
LINE_HEAD = b'{"time":"'
# JSON libraries put a space after each colon and comma: a copy that another program has written may have them.
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
    """Whether a file is a journal segment: by its name, and by its first bytes (`HEAD_BYTES` of them or fewer).

    An empty file counts as one, and so does a file of one line that was written in part.
    """
    return has_records(name, head) or (
        bool(SEGMENT_NAME.match(name)) and b"\n" not in head and _is_torn(head)
    )


def has_records(name: str, head: bytes) -> bool:
    """Whether a segment has at least one line that begins as all of ours. Torn ones may precede it."""
    lines = head.split(b"\n")
    begun = next((number for number, line in enumerate(lines) if _BEGINNING.match(line)), -1)
    return bool(SEGMENT_NAME.match(name) and begun >= 0 and lines[0]) and all(map(_is_torn, lines[:begun]))


def is_line(line: bytes) -> bool:
    """Whether a line of a segment is a record, or what is left of one that was written in part."""
    torn = line.rstrip(b"\n")
    return line.startswith(LINE_HEAD) or (torn != b"" and _is_torn(torn))


def _is_torn(line: bytes) -> bool:
    """Whether some continuation makes it the beginning of our lines."""
    tails = (example[start:] for example in _EXAMPLES for start in range(len(example) + 1))
    return any(_BEGINNING.fullmatch(line + tail) for tail in tails)
