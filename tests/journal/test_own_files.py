"""Only our own files are deleted."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from amllog.journal.directory import claim_orphans
from amllog.journal.writer import Journal

from .conftest import LINE, delete_settled, orphan_name  # isort: skip


def test_a_linked_segment_is_not_deleted(tmp_path: Path) -> None:
    """A segment with several hard links is sent, but neither it nor its checkpoint is deleted."""
    folder = tmp_path / "journal"
    folder.mkdir()
    path = folder / orphan_name(1)
    path.write_bytes(LINE)
    os.link(path, tmp_path / "mine")
    (segment,) = claim_orphans(folder, "n", ["a"])
    segment.acknowledge("a", segment.size, 1, Counter(), [])
    assert not segment.remove()
    assert delete_settled(folder, "a") == 0
    assert path.read_bytes() == LINE
    assert path.with_suffix(".ack").stat().st_size > 0


def test_a_replaced_segment_is_not_deleted(tmp_path: Path) -> None:
    """Another file at the path of a segment is not deleted, and the position in the segment is still known."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    journal.append(LINE)
    (segment,) = journal.segments
    segment.acknowledge("a", segment.size, 1, Counter(), [])
    other = tmp_path / "other"
    other.write_bytes(LINE)
    other.replace(segment.path)
    assert not segment.remove()
    assert segment.path.read_bytes() == LINE
    assert list(claim_orphans(tmp_path, "n", ["a"])) == []
    journal.close()


def test_an_empty_checkpoint_of_this_process_is_deleted(tmp_path: Path) -> None:
    """Empty files are deleted only if this process has created them."""
    other = tmp_path / orphan_name(1)
    other.with_suffix(".ack").touch()
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    journal.append(LINE)
    assert journal.segments[0].remove()
    assert list(tmp_path.iterdir()) == [other.with_suffix(".ack")]
