"""Segments beside other threads and processes that read, acknowledge and delete."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.journal.directory import claim, claim_orphans, open_read_only
from amllog.journal.writer import Journal

from .conftest import LINE, OUTLETS, line  # isort: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of one outlet."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n", outlets=["a"])


def test_positions_of_outlets(journal: Journal) -> None:
    """Each outlet has its own position, also when the segment is opened later."""
    for number in range(10):
        journal.append(line(number))
    (segment,) = journal.segments
    middle, end = segment.size // 2, segment.size
    segment.acknowledge("a", middle, 4, Counter(bad=1), [0])
    segment.acknowledge("a", end, 5, Counter(bad=1), [])
    segment.acknowledge("b", middle, 3, Counter(), [0, 14])
    assert (segment.is_settled(["a"]), segment.is_settled(["b"]), segment.is_settled(OUTLETS)) == (
        True,
        False,
        False,
    )
    later = open_read_only(segment.path)
    assert later is not None
    for one in (segment, later):
        a, b = one.position("a"), one.position("b")
        assert (a.offset, a.retry, a.delivered, dict(a.refused)) == (end, [], 9, {"bad": 2})
        assert (b.offset, b.retry, b.delivered, dict(b.refused)) == (middle, [0, 14], 3, {})
    later.close()


def test_a_segment_with_a_torn_line_is_settled(journal: Journal) -> None:
    """A segment whose last line is torn is settled with its whole lines."""
    journal.append(line(1))
    journal.close()
    (path,) = journal.directory.glob("*.jsonl")
    path.write_bytes(line(1) + b'{"time":')
    (segment,) = claim_orphans(journal.directory, "n", ["a"])
    segment.acknowledge("a", len(line(1)), 1, Counter(), [])
    assert segment.is_settled(["a"])
    assert (segment.count_records(), list(segment.lines_from(0))) == (1, [line(1)])
    segment.close()


def test_a_segment_that_is_deleted_is_not_claimed(tmp_path: Path, often_switching: None) -> None:
    """A segment cannot be claimed while its holder deletes it with its checkpoint."""
    results = set[Any]()
    for number in range(60):
        journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
        journal.append(LINE)
        (segment,) = journal.segments
        deleted = threading.Event()

        def check(path: Path = segment.path, deleted: threading.Event = deleted) -> None:
            while not deleted.is_set():
                results.add(claim(path, "n"))
            results.add(claim(path, "n"))

        thread = threading.Thread(target=check)
        thread.start()
        segment.remove()  # deletes it, then releases its lock
        deleted.set()
        thread.join()
        journal.close()
        assert results == {None}, number


def test_a_batch_settles_after_its_entry_is_written(journal: Journal) -> None:
    """The entry of a batch is in the file before the batch counts as settled."""
    journal.append(LINE)
    (segment,) = journal.segments
    acks, wrong, done = segment.path.with_suffix(".ack"), list[tuple[int, int]](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            settled = segment.position("a").delivered
            entries = acks.read_bytes().count(b"\n")
            if entries < settled:
                wrong.append((entries, settled))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(2_000):
        segment.acknowledge("a", segment.size, 1, Counter(), [])
    done.set()
    thread.join()
    assert wrong == []
    assert segment.is_settled(["a"]) and segment.position("a").delivered == 2_000
