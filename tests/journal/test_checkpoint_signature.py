"""Files beside a segment that are not checkpoints are left unchanged."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from amllog.journal.directory import claim_orphans
from amllog.journal.segment import Segment

from .conftest import ENTRY, LINE, delete_settled, orphan_name, recorded  # isort: skip


ACKS = [
    b"\nmy notes, first line empty\n",
    b'{\n "outlet": 3\n}\n',
    b"{",
    b"\xff\xff",
    b"[]\n",
    b"7\nnull\n",
    b'{"outlet":"a"}\n',
    b'{"outlet": "my shop", "city": "x"}\n',
    ENTRY.replace(b"}", b',"city":"x"}'),
]


@pytest.mark.parametrize("content", ACKS)
def test_a_foreign_file_is_left_unchanged(tmp_path: Path, content: bytes) -> None:
    """A file that is not a checkpoint is neither written to nor deleted, and its segment is not sent."""
    path, alone = tmp_path / orphan_name(1), tmp_path / orphan_name(2)
    path.write_bytes(LINE)
    for one in (path, alone):
        one.with_suffix(".ack").write_bytes(content)
    reports: list[str] = []
    assert list(claim_orphans(tmp_path, "n", ["a"], report=reports.append)) == []
    assert reports == [f"{path} is not sent: {path.stem}.ack is not a checkpoint of amllog"]
    assert delete_settled(tmp_path, "a") == 0
    assert [one.with_suffix(".ack").read_bytes() for one in (path, alone)] == [content] * 2
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"\nmy notes\n", b'{\n "a": 1}\n', ENTRY])
def test_a_linked_file_is_left_unchanged(tmp_path: Path, content: bytes) -> None:
    """A hard link to another file is not a checkpoint, whatever its content."""
    folder, mine = tmp_path / "journal", tmp_path / "mine"
    folder.mkdir()
    mine.write_bytes(content)
    path = folder / orphan_name(1)
    path.write_bytes(LINE)
    os.link(mine, path.with_suffix(".ack"))
    reports: list[str] = []
    assert list(claim_orphans(folder, "n", ["b"], report=reports.append)) == []
    assert reports == [f"{path} is not sent: {path.stem}.ack has several hard links"]
    delete_settled(folder, "a")
    assert mine.read_bytes() == path.with_suffix(".ack").read_bytes() == content


def test_a_file_that_another_program_overwrites(segment: Segment) -> None:
    """A file that another program overwrites is left unchanged. The entries are in the fallback."""
    acks, size = segment.path.with_suffix(".ack"), len(LINE)
    segment.acknowledge("a", 4 * size, 4, Counter(), [])
    theirs = b"my own notes\n" * 300
    with acks.open("r+b") as file:
        file.write(theirs)
    segment.acknowledge("a", 6 * size, 2, Counter(), [])
    assert acks.read_bytes() == theirs
    assert segment.unrecorded == "" and "is not a checkpoint of amllog" in segment.checkpoint.warning
    acks.rename(acks.with_name("notes"))
    segment.close()
    assert recorded(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    assert acks.with_name("notes").read_bytes() == theirs
