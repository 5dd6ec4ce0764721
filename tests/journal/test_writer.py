"""Appending lines to the journal, within its limit."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from amllog.journal.directory import MAX_SEGMENT_BYTES
from amllog.journal.writer import Journal

from .conftest import HEAD, OUTLETS, keyed_line, line  # isort: skip


def all_lines(journal: Journal) -> list[bytes]:
    """Return all lines of a journal."""
    return [one for segment in journal.segments for one in segment.lines_from(0)]


def test_lines_are_written_before_append_returns(journal: Journal) -> None:
    """Lines are in the file, unchanged and in order, when `append` returns."""
    for number in range(1000):
        assert journal.append(line(number))
    assert all_lines(journal) == [line(number) for number in range(1000)]


def test_lines_of_threads_are_not_mixed(journal: Journal) -> None:
    """Lines of several threads are not mixed, also when a new segment is started."""

    def work(who: int) -> None:
        for number in range(300):
            journal.append(line(who * 1000 + number, 300))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(all_lines(journal)) == sorted(
        line(who * 1000 + n, 300) for who in range(6) for n in range(300)
    )
    assert len(journal.segments) > 1


def test_a_full_journal_refuses_lines(journal: Journal) -> None:
    """A full journal refuses lines with the reason. Segments that all outlets have settled make space."""
    kept = 0
    while journal.append(line(kept, 1000)):
        kept += 1
    size = sum(path.stat().st_size for path in journal.directory.iterdir())
    assert 0.85 * 1024**2 < size <= 1024**2
    assert journal.unwritten == {"journal is full (journal_max_bytes)": 1}
    for segment in journal.segments[:3]:
        segment.acknowledge("a", segment.size, 1, Counter(), [])
    journal.recheck_space()  # it measures at most once a second
    assert not journal.append(line(1, 1000))
    for segment in journal.segments[:3]:
        segment.acknowledge("b", segment.size, 1, Counter(), [])
    journal.recheck_space()
    assert journal.append(line(1, 1000))
    assert sum(path.stat().st_size for path in journal.directory.iterdir()) <= 1024**2
    assert sum(segment.count_records() for segment in journal.segments) == kept + 1


def test_a_segment_is_filled_before_the_next_one(tmp_path: Path) -> None:
    """A segment is written to until it is full, and nothing is reported."""
    notices: list[str] = []
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", notice=notices.append)
    for number in range(2_000):
        assert journal.append(line(number, 200))
    sizes = [segment.size for segment in journal.segments]
    assert len(sizes) > 3
    assert min(sizes[:-1]) > max(sizes) - 400
    assert notices == []


def test_the_reserve_of_a_full_journal(journal: Journal) -> None:
    """A full journal accepts exceptions and requests while its reserve lasts, within the limit."""
    while journal.append(line(1, 1000)):
        pass
    for kind, kept in (
        ("MessageData", False),
        ("ExceptionData", True),
        ("MetricData", False),
        ("RequestData", True),
    ):
        last = HEAD + b',"data":{"baseType":"%s","x":"%s"}}\n' % (kind.encode(), b"x" * 1000)
        assert journal.append(last) == kept
        assert not journal.append(line(2, 1000))
    before = len(journal.segments)
    while journal.append(last):
        pass
    assert len(journal.segments) == before  # the reserve needs no further segments
    size = sum(path.stat().st_size for path in journal.directory.iterdir())
    assert 0.95 * 1024**2 < size <= 1024**2
    journal.recheck_space()
    for segment in journal.segments:
        for outlet in OUTLETS:
            segment.acknowledge(outlet, segment.size, 1, Counter(), [])
    assert journal.append(line(3, 1000))


def test_late_lines_with_the_previous_key(journal: Journal) -> None:
    """A line with the previous key that arrives after `rotate` goes to the previous segment."""
    journal.append(keyed_line("old"))
    journal.rotate("old")
    for key in ("old", "new", None):
        assert journal.append(keyed_line(key))
    assert [segment.key() for segment in journal.segments] == [b"old", b"new"]
    assert [segment.count_records() for segment in journal.segments] == [2, 2]


def test_a_segment_grows_if_no_other_can_be_created(tmp_path: Path) -> None:
    """If no other segment can be created, a segment grows up to the size that readers accept."""
    resource = pytest.importorskip("resource")
    journal = Journal(tmp_path, max_bytes=1024**3, node="n")
    journal.append(line(1))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for size, taken in ((MAX_SEGMENT_BYTES // 2, True), (MAX_SEGMENT_BYTES, False)):
        os.truncate(journal.segments[0].path, size)
        journal.segments[0].known_bytes = size  # as if this process had written so much
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            assert journal.append(line(2)) == taken
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert journal.unwritten == {"journal: EMFILE": 1}
    journal.close()


def test_many_journals_share_one_limit(tmp_path: Path) -> None:
    """Many journals measure the directory often enough to stay near the limit together."""
    limit = 8 * 1024**2
    journals = [Journal(tmp_path, max_bytes=limit, node="n", outlets=["a"]) for _ in range(24)]
    number = 0
    while sum(journal.append(line(number, 8_000)) for journal in journals):
        number += 1
    assert 0.9 * limit < sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) < 1.3 * limit


def test_settled_current_segments_make_space(tmp_path: Path) -> None:
    """If current segments of many processes fill the limit, each continues once its own is settled."""
    journals = [Journal(tmp_path, max_bytes=4 * 1024**2, node="n", outlets=["a"]) for _ in range(10)]
    number = 0
    while sum(journal.append(line(number, 8_000)) for journal in journals):
        number += 1
    for journal in journals:
        for segment in journal.segments:
            segment.acknowledge("a", segment.size, 1, Counter(), [])
        journal.recheck_space()
    assert [journal.append(line(number, 8_000)) for journal in journals] == [True] * 10


def test_a_closed_journal_refuses_lines(journal: Journal) -> None:
    """After `close`, lines are refused and counted, and no other file of the process receives them."""
    journal.append(line(1))
    journal.close()
    with open(journal.directory / "other", "wb+", buffering=0) as other:
        assert not journal.append(line(2, 1000))
        assert other.read() == b""
    assert sum(journal.unwritten.values()) == 1
