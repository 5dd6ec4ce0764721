"""The lines of a segment's file, and its descriptor after the script has closed or replaced it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amllog.journal.directory import claim
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

from .conftest import KEYED, LINE, line  # isort: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of one outlet."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n", outlets=["a"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 3000), max_size=20), st.integers(1, 5000))
def test_lines_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chunk: int
) -> None:
    """Lines read in chunks of any size are whole, and their lengths are the distances between them."""
    journal = Journal(tmp_path_factory.mktemp("j"), max_bytes=1024**2, node="n")
    written = [line(number, size) for number, size in enumerate(sizes)]
    for one in written:
        journal.append(one)
    (segment,) = journal.segments
    read, offset = list[bytes](), 0
    while lines := segment.lines(offset, chunk):
        assert segment.line_at(offset) == lines[0]
        read += lines
        offset += sum(map(len, lines))
    assert read == written and offset == segment.size and segment.count_records() == len(written)
    journal.close()


def test_several_threads_read_the_key(tmp_path: Path, often_switching: None) -> None:
    """The first line with a key is found, although several threads looked for one before it was written."""
    for number in range(400):
        journal = Journal(tmp_path / str(number), max_bytes=1024**2, node="n")
        (segment,) = journal.segments
        segment.path.write_bytes(LINE * 300)
        threads = [threading.Thread(target=segment.key) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal.append(KEYED)
        assert segment.key() == b"abc"
        journal.close()


def test_append_after_the_descriptor_was_opened_again(journal: Journal) -> None:
    """Lines are appended at the end after the delivery thread has opened the descriptor again."""
    journal.append(LINE)
    (segment,) = journal.segments
    os.close(segment.fd)
    assert segment.size == len(LINE)  # opens the file again
    journal.append(KEYED)
    assert segment.path.read_bytes() == LINE + KEYED


def test_the_former_lock_is_released_late(journal: Journal) -> None:
    """Another thread has closed the descriptor, and its lock is released after the file was opened again."""
    journal.append(KEYED)
    (segment,) = journal.segments
    lock_of_the_system = os.dup(segment.fd)
    os.close(segment.fd)
    release = threading.Timer(0.05, os.close, [lock_of_the_system])
    release.start()
    assert segment.ensure_locked()
    release.join()
    assert segment.lines(0) == [KEYED]


def test_closed_before_it_is_marked(journal: Journal) -> None:
    """If another thread closes a descriptor before it is marked, the next line goes to a new segment."""
    segment = journal.segments[-1]
    os.close(segment.fd)
    segment.mark()
    assert journal.append(LINE)
    assert journal.segments[-1].size == len(LINE)


def test_the_descriptor_of_another_file_has_no_mark(journal: Journal, tmp_path: Path) -> None:
    """A file of the script with the number of the segment is recognized, also with the same size."""
    journal.append(LINE)
    (segment,) = journal.segments
    other = tmp_path / "model.bin"
    other.write_bytes(b"x" * len(LINE))
    theirs = os.open(other, os.O_RDWR)
    os.dup2(theirs, segment.fd)
    assert segment.size_to_append() == -1
    journal.append(LINE)
    assert other.read_bytes() == b"x" * len(LINE)
    assert [len(one.path.read_bytes()) for one in journal.segments] == [len(LINE)] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has marks")
def test_a_descriptor_that_is_replaced_during_the_check(journal: Journal, tmp_path: Path) -> None:
    """A file of the script that takes the number after the mark was compared receives no line."""
    journal.append(LINE)
    (segment,) = journal.segments
    theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)

    def between_calls(frame: object, event: str, called: object) -> None:
        if event == "c_return" and called is os.lseek:
            sys.setprofile(None)
            os.dup2(theirs, segment.fd)

    sys.setprofile(between_calls)
    journal.append(KEYED)
    assert sys.getprofile() is None
    assert (tmp_path / "theirs").read_bytes() == b""
    assert [one.path.read_bytes() for one in journal.segments] == [LINE, KEYED]


def test_a_line_that_went_elsewhere_is_written_again(journal: Journal, tmp_path: Path) -> None:
    """A line that went to a file that had just taken the number is in the segment as well."""
    journal.append(LINE)
    journal.append(KEYED)
    (segment,) = journal.segments
    os.truncate(segment.path, len(LINE))  # as if the last line had gone to another file
    os.dup2(os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT), segment.fd)
    journal.append(LINE)
    assert [one.path.read_bytes() for one in journal.segments] == [LINE + KEYED, LINE]
    assert segment.lines_written() == segment.count_records() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has marks")
def test_a_signal_of_the_script_is_not_a_mark(journal: Journal, tmp_path: Path) -> None:
    """A file for which the script has set a signal is not mistaken for the segment."""
    import fcntl

    journal.append(LINE)
    (segment,) = journal.segments
    other = tmp_path / "model.bin"
    other.write_bytes(b"x" * 100_000)
    theirs = os.open(other, os.O_RDWR)
    os.dup2(theirs, segment.fd)
    for number in (signal.SIGIO, signal.SIGUSR1, *range(34, signal.SIGRTMAX + 1)):
        fcntl.fcntl(theirs, 10, number)  # F_SETSIG, which Python has since 3.11
        assert segment.size_to_append() == -1
    os.close(theirs)


def test_without_marks_the_file_is_compared(journal: Journal, tmp_path: Path) -> None:
    """On a system without marks, `fstat` distinguishes the segment from a file of the script."""
    journal.append(LINE)
    (segment,) = journal.segments
    unmarked = Segment(segment.path, os.open(segment.path, os.O_RDWR))
    unmarked.known_bytes = len(LINE)
    assert unmarked.size_to_append() == len(LINE)
    theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
    os.dup2(theirs, unmarked.fd)
    assert unmarked.size_to_append() == -1
    os.close(unmarked.fd)
    with pytest.raises(OSError, match="descriptor"):
        unmarked.size_to_append()


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="needs sparse files")
def test_the_hole_at_the_end_of_a_sparse_file_is_not_read(journal: Journal) -> None:
    """A file that another program has made longer without writing to it ends where its data ends."""
    journal.append(LINE)
    (segment,) = journal.segments
    os.truncate(segment.path, 4 * 1024**4)
    assert next(segment.lines_from(0)) == LINE
    segment.acknowledge("a", len(LINE), 1, Counter(), [], passed=1)
    while lines := segment.lines(segment.position("a").offset):
        segment.acknowledge("a", segment.position("a").offset + sum(map(len, lines)), 0, Counter(), [])
    assert segment.is_settled(["a"])


@pytest.mark.skipif(sys.platform != "linux", reason="needs marks")
@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_APPEND])
def test_the_journal_opened_by_the_script(journal: Journal, flags: int) -> None:
    """If the script opens the journal with its number, that descriptor stays open, and nothing is overwritten."""
    journal.append(LINE)
    (segment,) = journal.segments
    number = segment.fd
    theirs = os.open(segment.path, flags)
    os.dup2(theirs, number)
    assert journal.append(KEYED)
    assert segment.path.read_bytes() == LINE + KEYED
    assert list(segment.lines_from(0)) == [LINE, KEYED]
    assert claim(segment.path, "n") is None  # the journal has the lock again
    journal.close()
    assert os.fstat(number).st_ino == os.fstat(theirs).st_ino
    os.close(number)
    os.close(theirs)


def test_a_new_file_with_the_inode_of_a_deleted_one(journal: Journal) -> None:
    """The lines of a deleted file are not read from a new file with its number and its inode."""
    journal.append(LINE)
    (former,) = journal.segments
    former.path.unlink()
    os.close(former.fd)
    for _ in range(3):
        assert journal.append(KEYED)
    assert list(former.lines_from(0)) == []
    assert [list(one.lines_from(0)) for one in journal.segments[1:]] == [[KEYED] * 3]
