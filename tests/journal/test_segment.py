"""A journal file beside others who read, note and delete at the same time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.journal.directory import claim
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

LINE = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'
KEYED = LINE.replace(b'"ver"', b'"iKey":"abc","ver"')


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal in a folder of its own."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n", outlets=["a"])


def test_removed_while_it_is_claimed(tmp_path: Path) -> None:
    """A file that its holder deletes while others try to claim it is nobody's: its checkpoint is gone as well."""
    found: list[Any] = []
    for number in range(200):
        journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
        journal.append(LINE)
        (segment,) = journal.segments
        deleted = threading.Event()

        def check(path: Path = segment.path, deleted: threading.Event = deleted) -> None:
            while not deleted.is_set():
                found.append(claim(path, "n"))
            found.append(claim(path, "n"))

        thread = threading.Thread(target=check)
        thread.start()
        segment.remove()  # deletes it, then releases its lock
        deleted.set()
        thread.join()
        journal.close()
        assert set(found) == {None}, number


def test_settled_once_it_is_noted(journal: Journal) -> None:
    """Who waits for the end of a batch may end the process then: it is on disk by that time."""
    journal.append(LINE)
    (segment,) = journal.segments
    acks, wrong, done = segment.path.with_suffix(".ack"), list[tuple[int, int]](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            settled = segment.position("a").delivered
            noted = acks.read_bytes().count(b"\n")
            if noted < settled:
                wrong.append((noted, settled))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(2_000):
        segment.acknowledge("a", segment.size, 1, Counter(), [])
    done.set()
    thread.join()
    assert wrong == []
    assert segment.is_settled(["a"]) and segment.position("a").delivered == 2_000


def test_key_asked_by_threads(tmp_path: Path) -> None:
    """The first line with a key is found, also if several threads look for it before it is there."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
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
    finally:
        sys.setswitchinterval(before)


def test_written_to_after_its_reader_has_opened_it_again(journal: Journal) -> None:
    """A descriptor that the courier has opened again is at the file's beginning: lines are appended all the same."""
    journal.append(LINE)
    (segment,) = journal.segments
    os.close(segment.fd)
    assert segment.size == len(LINE)  # opens it again
    journal.append(KEYED)
    assert segment.path.read_bytes() == LINE + KEYED


def test_closed_before_it_is_marked(journal: Journal) -> None:
    """A descriptor that another thread closes before it is marked raises nothing: the next line goes to a new file."""
    segment = journal.segments[-1]
    os.close(segment.fd)
    segment.mark()
    assert journal.append(LINE)
    assert journal.segments[-1].size == len(LINE)


def test_the_descriptor_of_another_file_has_no_mark(journal: Journal, tmp_path: Path) -> None:
    """A file of the script under the segment's number is recognised, also where it has the segment's size."""
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
    """A file of the script that takes the segment's number after the mark was compared gets no line."""
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
    """A line that went to the file that had just taken the segment's number is in the segment all the same."""
    journal.append(LINE)
    journal.append(KEYED)
    (segment,) = journal.segments
    os.truncate(segment.path, len(LINE))  # as if the last line had gone elsewhere
    os.dup2(os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT), segment.fd)
    journal.append(LINE)
    assert [one.path.read_bytes() for one in journal.segments] == [LINE + KEYED, LINE]
    assert segment.lines_written() == segment.count_records() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has marks")
def test_a_signal_that_the_script_asks_for_is_no_mark(journal: Journal, tmp_path: Path) -> None:
    """A file of the script that has a signal for input and output of its own is not taken for the segment."""
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
    """On a system without marks, `fstat` tells the segment from a file of the script."""
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


def test_blank_lines_come_in_pieces(tmp_path: Path) -> None:
    """Lines that are no records come together, however many they are, and each record comes alone."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    (segment,) = journal.segments
    for blank in (b"\n", b"\r\n", b"\r", b"{}\n", b"\0\n"):
        segment.path.write_bytes(LINE + blank * 300_000 + b"\n" + LINE + KEYED + b"torn")
        found = list(segment.lines_from(0))
        assert [one for one in found if one in (LINE, KEYED)] == [LINE, LINE, KEYED]
        assert b"".join(found) == segment.path.read_bytes()[:-4]
        assert len(found) < 10
        assert claimed_count(segment.path) == 3
    journal.close()


def claimed_count(path: Path) -> int:
    """How many records a reader that has not seen the file before counts."""
    return Segment(path, os.open(path, os.O_RDONLY)).count_records()


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
    """The script's own opening of the journal under the segment's number stays the script's; nothing is overwritten."""
    journal.append(LINE)
    (segment,) = journal.segments
    number = segment.fd
    theirs = os.open(segment.path, flags)
    os.dup2(theirs, number)
    assert journal.append(KEYED)
    assert segment.path.read_bytes() == LINE + KEYED
    assert list(segment.lines_from(0)) == [LINE, KEYED]
    assert claim(segment.path, "n") is None  # the lock is the journal's again
    journal.close()
    assert os.fstat(number).st_ino == os.fstat(theirs).st_ino
    os.close(number)
    os.close(theirs)


def test_a_new_file_with_the_inode_of_a_deleted_one(journal: Journal) -> None:
    """What a deleted file held is not looked for in the file that has got its number and its inode."""
    journal.append(LINE)
    (former,) = journal.segments
    former.path.unlink()
    os.close(former.fd)
    for _ in range(3):
        assert journal.append(KEYED)
    assert list(former.lines_from(0)) == []
    assert [list(one.lines_from(0)) for one in journal.segments[1:]] == [[KEYED] * 3]
