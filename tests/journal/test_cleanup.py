"""Deleting settled segments while their process continues."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from amllog.journal.cleanup import SegmentCleanup
from amllog.journal.writer import Journal

from .conftest import OUTLETS, line  # isort: skip


def delete_all(journal: Journal) -> None:
    """Settle all lines, and delete the settled segments."""
    for segment in journal.segments:
        for outlet in OUTLETS:
            segment.acknowledge(outlet, segment.size, 1, Counter(), [])
    SegmentCleanup(journal, threading.RLock()).remove_settled()


def test_settled_segments_are_deleted(journal: Journal) -> None:
    """Settled segments are deleted before the limit is reached, and stay in the counts."""
    for number in range(700):
        journal.append(line(number, 1000))
    delete_all(journal)
    assert len(list(journal.directory.glob("*.jsonl"))) == 1
    assert sum(segment.count_records() for segment in journal.segments) == 700


def test_a_deleted_segment_keeps_no_line(journal: Journal) -> None:
    """The counts of a deleted segment stay in memory, but not its last line of up to 64 KiB."""
    for number in range(10):
        assert journal.append(line(number, 60_000))
    first = journal.segments[0]
    assert len(journal.segments) > 2 and first.last_line
    delete_all(journal)
    assert first.fd == -1 and first.count_records() == 2
    assert not first.last_line


def test_no_checkpoint_of_a_deleted_segment(journal: Journal) -> None:
    """Setting the outlets again creates no checkpoint for a deleted segment."""
    for number in range(700):
        journal.append(line(number, 1000))
    delete_all(journal)
    journal.retain_for(OUTLETS)
    (path,) = journal.directory.glob("*.jsonl")
    assert list(journal.directory.glob("*.ack")) == [path.with_suffix(".ack")]


def test_a_settled_current_segment_is_replaced(tmp_path: Path) -> None:
    """A settled current segment is replaced and deleted if the directory is full. A waiting one is not."""
    waits, done = (Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"]) for _ in range(2))
    number = 0
    while waits.append(line(number, 8_000)) and done.append(line(number, 8_000)):
        number += 1
    for segment in done.segments:
        segment.acknowledge("a", segment.size, 1, Counter(), [])
    before = [segment.path for segment in waits.segments]
    for journal in (waits, done):
        SegmentCleanup(journal, threading.RLock()).remove_settled()
    assert [segment.path for segment in waits.segments if segment.path.exists()] == before
    assert [segment.size for segment in done.segments] == [0] * len(done.segments)
    waits.recheck_space()
    assert waits.append(line(number, 8_000))
