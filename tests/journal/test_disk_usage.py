"""What our files take in a journal directory, and that only our files are deleted to make room."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from amllog.delivery import account
from amllog.journal import directory, disk_usage
from amllog.journal.directory import claim, claim_orphans, open_read_only
from amllog.journal.displacement import Displacement
from amllog.journal.refused_counts import TRUNCATED
from amllog.journal.signature import SEGMENT_NAME
from amllog.journal.writer import Journal

HEAD = b'{"time":"2026-01-01T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message",'
LINE = HEAD + b'"x":1}\n'
ENTRY = b'{"outlet":"a","to":%d,"delivered":1}\n' % len(LINE)
DELIVERED = "20 delivered, 0 waiting, 0 refused"
FOREIGN = [
    b'{\n  "my": "JSON of several lines"\n}\n' * 50,
    b"\nmy notes, first line empty\n" * 50,
    b'{"time": "2026-01-01 10:00", "level": "INFO"}\n' * 50,
    b'{"time":"2026-01-01T10:00:00Z","level":"INFO"}\n' * 50,
    b'{"ti\nabc\n',
    b"{",
    b" ",
    LINE + b"my notes behind a record\n",
    LINE + b"\n" * 50,
]


def name(number: int) -> str:
    """The name of a segment whose writer is gone."""
    return f"20260101T000000-gone-999999-0a0b{number:02x}.jsonl"


def make_room(folder: Path, *outlets: str) -> int:
    """Delete all that may be deleted beside a journal; how many bytes that are."""
    journal = Journal(folder, max_bytes=1024**2, node="n", outlets=outlets)
    journal.append(LINE)
    freed = disk_usage.delete_settled(folder, 1024**3, journal.segments, "n", outlets)
    journal.close()
    return freed


@pytest.mark.parametrize("outlets", [(), ("a",)])
@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_files_stay(tmp_path: Path, content: bytes, outlets: tuple[str, ...]) -> None:
    """A file with a line that is no record stays, also if no outlet wants anything of it."""
    path = tmp_path / name(1)
    path.write_bytes(content)
    if outlets:
        path.with_suffix(".ack").write_bytes(ENTRY.replace(b"%d" % len(LINE), b"%d" % len(content)))
    assert make_room(tmp_path, *outlets) == 0
    assert path.read_bytes() == content


def test_what_is_done_makes_room(tmp_path: Path) -> None:
    """A segment that nobody wants is deleted with its checkpoint; lines that were written in part do not keep it."""
    path = tmp_path / name(1)
    path.write_bytes(b'{"time":"2026\n' + LINE * 100 + b'{"ti\n' + LINE + LINE[:-5])
    path.with_suffix(".ack").write_bytes(ENTRY)
    assert make_room(tmp_path) > 0
    assert not path.exists()
    assert not path.with_suffix(".ack").exists()


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
def test_foreign_checkpoints_stay(tmp_path: Path, content: bytes) -> None:
    """A file beside a segment that is no checkpoint is neither written to nor deleted, and the segment is not sent."""
    path, alone = tmp_path / name(1), tmp_path / name(2)
    path.write_bytes(LINE)
    for one in (path, alone):
        one.with_suffix(".ack").write_bytes(content)
    told: list[str] = []
    assert list(claim_orphans(tmp_path, "n", ["a"], report=told.append)) == []
    assert told == [f"{path} is not sent: {path.stem}.ack is not a checkpoint of amllog"]
    assert make_room(tmp_path, "a") == 0
    assert [one.with_suffix(".ack").read_bytes() for one in (path, alone)] == [content] * 2
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"\nmy notes\n", b'{\n "a": 1}\n', ENTRY])
def test_a_linked_checkpoint_stays(tmp_path: Path, content: bytes) -> None:
    """A hard link to a file elsewhere is no checkpoint, whatever it has."""
    folder, mine = tmp_path / "journal", tmp_path / "mine"
    folder.mkdir()
    mine.write_bytes(content)
    path = folder / name(1)
    path.write_bytes(LINE)
    os.link(mine, path.with_suffix(".ack"))
    told: list[str] = []
    assert list(claim_orphans(folder, "n", ["b"], report=told.append)) == []
    assert told == [f"{path} is not sent: {path.stem}.ack has several hard links"]
    make_room(folder, "a")
    assert mine.read_bytes() == path.with_suffix(".ack").read_bytes() == content


def test_a_linked_segment_stays(tmp_path: Path) -> None:
    """A segment with another name elsewhere is sent, but not deleted, and neither is its checkpoint."""
    folder = tmp_path / "journal"
    folder.mkdir()
    path = folder / name(1)
    path.write_bytes(LINE)
    os.link(path, tmp_path / "mine")
    (segment,) = claim_orphans(folder, "n", ["a"])
    segment.acknowledge("a", segment.size, 1, Counter(), [])
    assert not segment.remove()
    assert make_room(folder, "a") == 0
    assert path.read_bytes() == LINE
    assert path.with_suffix(".ack").stat().st_size > 0


def test_a_segment_that_was_replaced_stays(tmp_path: Path) -> None:
    """Another file under the segment's name is not deleted, and what was sent of the segment is still known."""
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


def test_an_empty_checkpoint_of_this_process_goes_with_its_segment(tmp_path: Path) -> None:
    """Of files that this process has created, nothing is left; an empty file of somebody else stays."""
    other = tmp_path / name(1)
    other.with_suffix(".ack").touch()
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    journal.append(LINE)
    assert journal.segments[0].remove()
    assert list(tmp_path.iterdir()) == [other.with_suffix(".ack")]


def test_sparse_files_are_not_counted(tmp_path: Path) -> None:
    """Files that are longer than what amllog writes take no room, and each is reported once and skipped."""
    sizes = [1024**3, directory.MAX_SEGMENT_BYTES, 8 * 1024**3]
    for number, size in enumerate(sizes):
        (tmp_path / name(number)).write_bytes(LINE)
        os.truncate(tmp_path / name(number), size)
        (tmp_path / name(number)).with_suffix(".ack").write_bytes(ENTRY)
        os.truncate((tmp_path / name(number)).with_suffix(".ack"), size)
    if (tmp_path / name(1)).stat().st_blocks * 512 > 1024**2:
        pytest.skip("this file system has no sparse files")
    assert disk_usage.own_bytes(tmp_path, {}) < 1024**2
    told: list[str] = []
    known: set[str] = set()
    for _ in range(2):
        assert list(claim_orphans(tmp_path, "n", ["a"], known, told.append)) == []
    assert [one.rpartition(" is not sent: ")[0] for one in told] == [
        str(tmp_path / name(number)) for number in range(3)
    ]
    assert "is sparse" in told[1]
    assert [claim(tmp_path / name(number), "n") for number in range(3)] == [None] * 3
    assert [open_read_only(tmp_path / name(number)) for number in range(3)] == [None] * 3
    assert make_room(tmp_path) == 0


def test_a_file_that_became_a_little_longer(tmp_path: Path) -> None:
    """What another program has made longer by some megabytes is still read."""
    path = tmp_path / name(1)
    path.write_bytes(LINE)
    os.truncate(path, 3_000_000)
    (segment,) = claim_orphans(tmp_path, "n", ["a"])
    assert segment.line_at(0) == LINE
    segment.close()


def test_new_names_are_counted(tmp_path: Path) -> None:
    """The names that this release gives are those that it recognises, and what it writes is counted."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="a-b c", outlets=["a"])
    journal.append(LINE)
    assert SEGMENT_NAME.match(journal.segments[0].path.name)
    assert (
        disk_usage.own_bytes(tmp_path, {})
        == sum(path.stat().st_size for path in tmp_path.iterdir())
        > len(LINE)
    )
    journal.close()


def test_what_a_deleted_segment_has_lost_stays_counted(tmp_path: Path) -> None:
    """Records that another program has truncated away stay refused after the rest has made room."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    for _ in range(20):
        journal.append(LINE)
    (segment,) = journal.segments
    os.truncate(segment.path, 10 * len(LINE))
    segment.acknowledge("a", 10 * len(LINE), 10, Counter(), [], passed=10)
    journal.append(LINE)
    assert disk_usage.delete_settled(tmp_path, 1024**3, journal.segments, "n", ["a"]) > 0
    assert not segment.path.exists()
    found = account.tally([segment], {"a": lambda line: True}, Counter(), "")
    assert found.accepted == 20
    assert str(found.outlets["a"]) == f"10 delivered, 0 waiting, 10 refused (10 × {TRUNCATED})"


def test_what_another_process_has_delivered_makes_room(tmp_path: Path) -> None:
    """A segment whose lock another process has taken is followed, and is deleted once that process has sent it."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    for _ in range(20):
        journal.append(LINE)
    (segment,) = journal.segments
    os.close(segment.fd)  # by the script: the lock is released
    other = claim(segment.path, "n")
    assert other is not None
    assert not segment.ensure_locked()
    journal.append(LINE)
    assert len(journal.segments) == 2  # nothing is appended to a file that another process delivers
    other.acknowledge("a", 20 * len(LINE), 20, Counter(), [])
    other.close()
    wants = {"a": lambda line: True}
    assert str(account.tally([segment], wants, Counter(), "").outlets["a"]) == DELIVERED
    assert disk_usage.delete_settled(tmp_path, 1024**3, journal.segments, "n", ["a"]) > 0
    assert not segment.path.exists()
    assert segment.fd == -1
    assert str(account.tally([segment], wants, Counter(), "").outlets["a"]) == DELIVERED


def test_a_segment_that_is_being_deleted_is_not_displaced(tmp_path: Path) -> None:
    """A look beside a deletion by the same process does not take it for one by another program."""
    wrong: list[object] = []
    for _ in range(200):
        journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
        journal.append(LINE)
        looks, deleted = Displacement(journal, threading.RLock()), threading.Event()

        def check(looks: Displacement = looks, deleted: threading.Event = deleted) -> None:
            while not deleted.is_set():
                wrong.extend(looks.displaced_segments())

        thread = threading.Thread(target=check)
        thread.start()
        journal.segments[0].remove()
        deleted.set()
        thread.join()
        journal.close()
    assert wrong == []
