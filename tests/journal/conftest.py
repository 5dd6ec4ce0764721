"""Journal lines, segments of ended processes and journals."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amllog.journal import disk_usage
from amllog.journal.directory import claim, open_read_only
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

HEAD = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message"'
LINE = HEAD + b"}\n"
KEYED = LINE.replace(b'"ver"', b'"iKey":"abc","ver"')
ENTRY = b'{"outlet":"a","to":%d,"delivered":1}\n' % len(LINE)
OUTLETS = ("a", "b")


def line(number: int, size: int = 0) -> bytes:
    """Return a line that begins as all lines of a segment, with `size` more bytes."""
    return HEAD + b',"x":"%d%s"}\n' % (number, b"x" * size)


def keyed_line(key: str | None, metric: bool = False) -> bytes:
    """Return a line with this key ("": not known yet, None: no key), or a run metric."""
    address = "" if key is None else f'"iKey":"{key}",'
    labels = '"run_metric":"scalar",' if metric else ""
    name = '"ver":1,"name":"Microsoft.ApplicationInsights.Message"'
    return f'{{"time":"2026-11-22T20:52:35.123456Z",{address}{name},{labels}"x":1}}\n'.encode()


def orphan_name(number: int) -> str:
    """Return the name of a segment of an ended process."""
    return f"20260101T000000-gone-999999-0a0b{number:02x}.jsonl"


def recorded(path: Path) -> dict[str, Any]:
    """Return the position of outlet `a` as a later process reads it."""
    reader = open_read_only(path)
    assert reader is not None
    position = reader.position("a")
    reader.close()
    return {
        "to": position.offset,
        "again": position.retry,
        "delivered": position.delivered,
        **position.refused,
    }


def delete_settled(folder: Path, *outlets: str) -> int:
    """Delete all settled segments beside a journal. Return the bytes freed."""
    journal = Journal(folder, max_bytes=1024**2, node="n", outlets=outlets)
    journal.append(LINE)
    freed = disk_usage.delete_settled(folder, 1024**3, journal.segments, "n", outlets)
    journal.close()
    return freed


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """An orphan of ten lines, claimed."""
    (tmp_path / orphan_name(1)).write_bytes(LINE * 10)
    claimed = claim(tmp_path / orphan_name(1), "gone")
    assert claimed is not None
    return claimed


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of two outlets."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n-1/x y", outlets=OUTLETS)


@pytest.fixture
def often_switching() -> Iterator[None]:
    """Let threads take turns every 10 µs, as on a machine where each of them has a core."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
