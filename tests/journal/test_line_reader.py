"""Reading lines of any content in limited time and memory."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

from .conftest import KEYED, LINE  # isort: skip


def test_blank_lines_come_in_pieces(tmp_path: Path) -> None:
    """Lines that are not records come together, and each record comes alone."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    (segment,) = journal.segments
    for blank in (b"\n", b"\r\n", b"\r", b"{}\n", b"\0\n"):
        segment.path.write_bytes(LINE + blank * 300_000 + b"\n" + LINE + KEYED + b"torn")
        lines = list(segment.lines_from(0))
        assert [line for line in lines if line in (LINE, KEYED)] == [LINE, LINE, KEYED]
        assert b"".join(lines) == segment.path.read_bytes()[:-4]
        assert len(lines) < 10
        assert count_records(segment.path) == 3
    journal.close()


def count_records(path: Path) -> int:
    """Return the number of records that a new reader counts."""
    return Segment(path, os.open(path, os.O_RDONLY)).count_records()
