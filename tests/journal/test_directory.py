"""Listing, claiming and creating segments in a directory that others use as well."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from amllog.journal import directory, disk_usage
from amllog.journal.directory import claim, claim_orphans, open_read_only
from amllog.journal.signature import SEGMENT_NAME
from amllog.journal.writer import Journal

from .conftest import ENTRY, LINE, OUTLETS, delete_settled, line, orphan_name  # isort: skip


def test_a_segment_without_a_writer_is_an_orphan(journal: Journal) -> None:
    """A segment is an orphan once its writer has ended, and one process at a time claims it."""
    journal.append(line(1))
    assert list(claim_orphans(journal.directory, "n", OUTLETS)) == []
    journal.close()
    (mine,) = claim_orphans(journal.directory, "n", OUTLETS)
    assert list(claim_orphans(journal.directory, "n", OUTLETS)) == []
    mine.acknowledge("a", mine.size, 1, Counter(), [])
    mine.acknowledge("b", mine.size, 1, Counter(), [])
    mine.close()
    assert list(claim_orphans(journal.directory, "n", OUTLETS)) == []
    assert [one.path for one in claim_orphans(journal.directory, "n", ["c"])] == [mine.path]


def test_settled_segments_are_not_opened_again(journal: Journal) -> None:
    """Repeated passes open only segments in which lines may wait."""
    for number in range(3):
        journal.append(line(number))
        journal.rotate()
    journal.append(line(3))
    journal.close()
    known: set[str] = set()
    for one in claim_orphans(journal.directory, "n", ["a"], known):
        one.acknowledge("a", one.size, 1, Counter(), [])
        one.close()
    assert known == set()  # they were not settled when they were claimed
    assert list(claim_orphans(journal.directory, "n", ["a"], known)) == []
    assert len(known) == 4
    for path in journal.directory.glob("*.ack"):
        path.unlink()
    assert list(claim_orphans(journal.directory, "n", ["a"], known)) == []


CLAIMING = """
import os, sys
from pathlib import Path
from amllog.journal.directory import claim_orphans
directory, settled = Path(sys.argv[1]), set()
print(flush=True)
os.set_blocking(0, False)
while sys.stdin.buffer.read(1) is None:
    for one in claim_orphans(directory, "n", ["a"], settled):
        one.close()
print(*settled)
"""


def test_a_new_segment_is_never_an_orphan(tmp_path: Path) -> None:
    """A segment is never an orphan, not even between its creation and its lock."""
    looking = subprocess.Popen(
        [sys.executable, "-c", CLAIMING, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert looking.stdout is not None and looking.stdout.readline() == "\n"
    names, unlocked, until = set(), 0, time.monotonic() + 60
    for number in range(3_000):  # the other process sees some of them between creation and lock
        if time.monotonic() > until:  # the machine is too busy
            break
        journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
        assert journal.append(line(number))
        path = journal.segments[-1].path
        taken = claim(path, "n")
        if taken is not None:
            unlocked += 1
            taken.close()
        names.add(path.name)
        journal.segments[-1].remove()
    reports, _ = looking.communicate("")
    assert unlocked == 0
    assert not names & set(reports.split())


def test_names_of_segments(journal: Journal) -> None:
    """Names of segments have only characters that all file systems accept."""
    (path,) = journal.directory.glob("*.jsonl")
    assert path.name.isascii() and not set(path.name) & set('/\\:*?"<>| ')


def test_own_names_are_recognized(tmp_path: Path) -> None:
    """The name of a new segment is recognized, and its files are measured."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="a-b c", outlets=["a"])
    journal.append(LINE)
    assert SEGMENT_NAME.match(journal.segments[0].path.name)
    assert (
        disk_usage.own_bytes(tmp_path, {})
        == sum(path.stat().st_size for path in tmp_path.iterdir())
        > len(LINE)
    )
    journal.close()


def test_sparse_files_are_skipped(tmp_path: Path) -> None:
    """Sparse and large files are not measured. Each is reported once and skipped."""
    sizes = [1024**3, directory.MAX_SEGMENT_BYTES, 8 * 1024**3]
    for number, size in enumerate(sizes):
        (tmp_path / orphan_name(number)).write_bytes(LINE)
        os.truncate(tmp_path / orphan_name(number), size)
        (tmp_path / orphan_name(number)).with_suffix(".ack").write_bytes(ENTRY)
        os.truncate((tmp_path / orphan_name(number)).with_suffix(".ack"), size)
    if (tmp_path / orphan_name(1)).stat().st_blocks * 512 > 1024**2:
        pytest.skip("this file system has no sparse files")
    assert disk_usage.own_bytes(tmp_path, {}) < 1024**2
    reports: list[str] = []
    known: set[str] = set()
    for _ in range(2):
        assert list(claim_orphans(tmp_path, "n", ["a"], known, reports.append)) == []
    assert [one.rpartition(" is not sent: ")[0] for one in reports] == [
        str(tmp_path / orphan_name(number)) for number in range(3)
    ]
    assert "is sparse" in reports[1]
    assert [claim(tmp_path / orphan_name(number), "n") for number in range(3)] == [None] * 3
    assert [open_read_only(tmp_path / orphan_name(number)) for number in range(3)] == [None] * 3
    assert delete_settled(tmp_path) == 0


def test_a_file_that_became_a_little_longer(tmp_path: Path) -> None:
    """A segment that another program has made longer by some megabytes is still read."""
    path = tmp_path / orphan_name(1)
    path.write_bytes(LINE)
    os.truncate(path, 3_000_000)
    (segment,) = claim_orphans(tmp_path, "n", ["a"])
    assert segment.line_at(0) == LINE
    segment.close()
