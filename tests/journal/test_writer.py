"""What was appended is there, is read from any position, and is acknowledged per outlet; bounds hold."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amllog.journal.cleanup import SegmentCleanup
from amllog.journal.directory import MAX_SEGMENT_BYTES, claim, claim_orphans, open_read_only
from amllog.journal.disk_usage import is_fully_settled
from amllog.journal.displacement import Displacement
from amllog.journal.writer import Journal

OUTLETS = ("a", "b")
HEAD = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message","x":"'


def line(number: int, size: int = 0) -> bytes:
    """A line that begins as all lines of a journal, and is short or longer."""
    return HEAD + b'%d%s"}\n' % (number, b"x" * size)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal in a folder of its own."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n-1/x y", outlets=OUTLETS)


def all_lines(journal: Journal) -> list[bytes]:
    """Every line of its files."""
    return [one for segment in journal.segments for one in segment.lines_from(0)]


def delete_all(journal: Journal) -> None:
    """Settle every line, and delete the files that are processed then."""
    for segment in journal.segments:
        for outlet in OUTLETS:
            segment.acknowledge(outlet, segment.size, 1, Counter(), [])
    SegmentCleanup(journal, threading.RLock()).remove_settled()


def test_append(journal: Journal) -> None:
    """Lines are in the file, as they are and in order, when append returns."""
    for number in range(1000):
        assert journal.append(line(number))
    assert all_lines(journal) == [line(number) for number in range(1000)]


def test_threads(journal: Journal) -> None:
    """Threads never mix their lines, also where a new file begins."""

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


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 3000), max_size=20), st.integers(1, 5000))
def test_reading(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chunk: int) -> None:
    """Read in chunks of any size, lines are whole, and their lengths lead from one to the next."""
    journal = Journal(tmp_path_factory.mktemp("j"), max_bytes=1024**2, node="n", outlets=OUTLETS)
    written = [line(number, size) for number, size in enumerate(sizes)]
    for one in written:
        journal.append(one)
    (segment,) = journal.segments
    found, position = [], 0
    while lines := segment.lines(position, chunk):
        assert segment.line_at(position) == lines[0]
        found += lines
        position += sum(map(len, lines))
    assert found == written and position == segment.size and segment.count_records() == len(written)
    journal.close()


def test_acknowledge(journal: Journal) -> None:
    """Each outlet is where its acknowledgements say, also for who opens the file later."""
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


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b'{"outlet":',
        b'{"outlet": "a", "to": 5',
        b'{"outlet":"a","to":0,"delivered":0}\n\xff\xff',
        b'{"outlet":"a","to":0,"delivered":0}\n[]\n7\nnull\n',
    ],
)
def test_torn_acknowledgements(journal: Journal, torn: bytes) -> None:
    """What a kill left of an acknowledgement is passed over, and does not spoil the next."""
    journal.append(line(1))
    journal.close()
    (path,) = journal.directory.glob("*.jsonl")
    path.with_suffix(".ack").write_bytes(torn)
    for delivered in (1, 2):
        segment = claim(path, "n")
        assert segment is not None
        segment.acknowledge("a", segment.size, 1, Counter(), [])
        assert segment.position("a").delivered == delivered
        segment.close()


def test_leftovers(journal: Journal) -> None:
    """A file is nobody's leftover while its writer lives, and one reader's at a time afterwards."""
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


def test_torn_line_settles(journal: Journal) -> None:
    """A file whose last line is torn is settled with its whole lines."""
    journal.append(line(1))
    journal.close()
    (path,) = journal.directory.glob("*.jsonl")
    path.write_bytes(line(1) + b'{"time":')
    (segment,) = claim_orphans(journal.directory, "n", ["a"])
    segment.acknowledge("a", len(line(1)), 1, Counter(), [])
    assert segment.is_settled(["a"])
    assert (segment.count_records(), list(segment.lines_from(0))) == (1, [line(1)])
    segment.close()


def test_bound(journal: Journal) -> None:
    """Full, the journal refuses with the reason; what every outlet has settled makes room."""
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


def test_no_new_file_is_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """A file that follows a full one is written to until it is full as well, and nothing is reported."""
    said: list[str] = []
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", notice=said.append)
    for number in range(2_000):
        assert journal.append(line(number, 200))
    sizes = [segment.size for segment in journal.segments]
    assert len(sizes) > 3
    assert min(sizes[:-1]) > max(sizes) - 400
    assert said == []


def test_reserve(journal: Journal) -> None:
    """A full journal still takes exceptions and how the step ended, as long as its reserve lasts, within the bound."""
    while journal.append(line(1, 1000)):
        pass
    for kind, kept in (
        ("MessageData", False),
        ("ExceptionData", True),
        ("MetricData", False),
        ("RequestData", True),
    ):
        last = HEAD + b'","data":{"baseType":"%s","x":"%s"}}\n' % (kind.encode(), b"x" * 1000)
        assert journal.append(last) == kept
        assert not journal.append(line(2, 1000))
    before = len(journal.segments)
    while journal.append(last):
        pass
    assert len(journal.segments) == before  # the reserve needs no files of its own
    size = sum(path.stat().st_size for path in journal.directory.iterdir())
    assert 0.95 * 1024**2 < size <= 1024**2
    journal.recheck_space()
    for segment in journal.segments:
        for outlet in OUTLETS:
            segment.acknowledge(outlet, segment.size, 1, Counter(), [])
    assert journal.append(line(3, 1000))


def envelope(key: str | None, metric: bool = False) -> bytes:
    """A line addressed to a resource ("": to none yet, None: to none ever), or to run history."""
    address = "" if key is None else f'"iKey":"{key}",'
    labels = '"run_metric":"scalar",' if metric else ""
    name = '"ver":1,"name":"Microsoft.ApplicationInsights.Message"'
    return f'{{"time":"2026-11-22T20:52:35.123456Z",{address}{name},{labels}"x":1}}\n'.encode()


@pytest.mark.parametrize(
    ("line", "age_hours", "outlets", "done"),
    [
        (envelope("k"), 0, ["app_insights"], False),
        (envelope("k"), 90, [], False),  # another process may have the resource
        (envelope("k"), 90, ["run_metrics"], False),
        (envelope(""), 1, [], False),
        (envelope(""), 49, [], True),  # the service would take it no more
        (envelope(None), 0, [], True),
        (envelope(None, metric=True), 90, [], False),
        (envelope(None, metric=True), 90, ["app_insights"], False),
        (envelope(None, metric=True), 90, ["run_metrics"], False),
    ],
)
def test_done_with(tmp_path: Path, line: bytes, age_hours: int, outlets: list[str], done: bool) -> None:
    """A file makes room only if nothing in it is wanted, by this process's outlets or by those that others have."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n", outlets=outlets)
    journal.append(line)
    (segment,) = journal.segments
    if "app_insights" in outlets and not line.count(b'"iKey"'):
        segment.acknowledge("app_insights", segment.size, 0, Counter(), [])
    os.utime(segment.path, (time.time() - age_hours * 3600,) * 2)
    assert is_fully_settled(segment, outlets) == done
    for outlet in ("app_insights", "run_metrics"):
        segment.acknowledge(outlet, segment.size, 1, Counter(), [])
    assert is_fully_settled(segment, outlets)


def test_turn_while_others_append(journal: Journal) -> None:
    """A line to the key of before that comes after the turn goes where such lines are: a file has one key."""
    journal.append(envelope("old"))
    journal.rotate("old")
    for key in ("old", "new", None):
        assert journal.append(envelope(key))
    assert [segment.key() for segment in journal.segments] == [b"old", b"new"]
    assert [segment.count_records() for segment in journal.segments] == [2, 2]


def test_settled_files_are_not_opened_again(journal: Journal) -> None:
    """Who looks for leftovers again and again opens only those that may have something."""
    for number in range(3):
        journal.append(line(number))
        journal.rotate()
    journal.append(line(3))
    journal.close()
    known: set[str] = set()
    for one in claim_orphans(journal.directory, "n", ["a"], known):
        one.acknowledge("a", one.size, 1, Counter(), [])
        one.close()
    assert known == set()  # they were not settled when they were looked at
    assert list(claim_orphans(journal.directory, "n", ["a"], known)) == []
    assert len(known) == 4
    for path in journal.directory.glob("*.ack"):
        path.unlink()
    assert list(claim_orphans(journal.directory, "n", ["a"], known)) == []


LOOKING = """
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


def test_new_file_beside_a_looking_process(tmp_path: Path) -> None:
    """A file never counts as left behind, also not in the instant between its creation and its lock."""
    looking = subprocess.Popen(
        [sys.executable, "-c", LOOKING, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert looking.stdout is not None and looking.stdout.readline() == "\n"
    names, unlocked, until = set(), 0, time.monotonic() + 60
    for number in range(8_000):  # some fall into that instant
        if time.monotonic() > until:  # a starved machine
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
    told, _ = looking.communicate("")
    assert unlocked == 0
    assert not names & set(told.split())


def test_no_file_grows_beyond_what_is_read(tmp_path: Path) -> None:
    """Where no other file can be begun, a file grows as far as readers accept it; then records are refused."""
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
    """Each journal measures the directory often enough that many of them together stay near the limit."""
    limit = 8 * 1024**2
    journals = [Journal(tmp_path, max_bytes=limit, node="n", outlets=["a"]) for _ in range(24)]
    number = 0
    while sum(journal.append(line(number, 8_000)) for journal in journals):
        number += 1
    assert 0.9 * limit < sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) < 1.3 * limit


def test_delivered_files_that_are_written_to_make_room(tmp_path: Path) -> None:
    """Where the files that many processes write to fill the limit, each continues once its own is delivered."""
    journals = [Journal(tmp_path, max_bytes=4 * 1024**2, node="n", outlets=["a"]) for _ in range(10)]
    number = 0
    while sum(journal.append(line(number, 8_000)) for journal in journals):
        number += 1
    for journal in journals:
        for segment in journal.segments:
            segment.acknowledge("a", segment.size, 1, Counter(), [])
        journal.recheck_space()
    assert [journal.append(line(number, 8_000)) for journal in journals] == [True] * 10


def test_the_worker_leaves_room_to_other_processes(tmp_path: Path) -> None:
    """A delivered file that is still written to is left and deleted where little room is left, not one that waits."""
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


def test_one_notice_of_each_kind_of_damage(tmp_path: Path) -> None:
    """A file that is renamed again and again, as by logrotate, has one notice, though its records move elsewhere."""
    notices: list[str] = []
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"], notice=notices.append)
    looks = Displacement(journal, threading.RLock())
    for number in range(5):
        journal.append(line(number, 1000))
        journal.segments[-1].path.rename(tmp_path / f"{number}.bak")
        looks.check()
    journal.append(line(5, 1000))
    assert len(notices) == 1
    assert sum(segment.count_records() for segment in journal.segments) == 6


def test_tidy(journal: Journal) -> None:
    """Settled files go before the bound is reached, and stay in the count."""
    for number in range(700):
        journal.append(line(number, 1000))
    delete_all(journal)
    assert len(list(journal.directory.glob("*.jsonl"))) == 1
    assert sum(segment.count_records() for segment in journal.segments) == 700


def test_a_deleted_file_keeps_no_line(journal: Journal) -> None:
    """The counts of a deleted file stay in memory, its last line of up to 64 KiB does not."""
    for number in range(10):
        assert journal.append(line(number, 60_000))
    first = journal.segments[0]
    assert len(journal.segments) > 2 and first.last_line
    delete_all(journal)
    assert first.fd == -1 and first.count_records() == 2
    assert not first.last_line


def test_no_checkpoint_of_a_deleted_file(journal: Journal) -> None:
    """Another setup(), which sets the outlets again, opens no checkpoint of a file that is deleted."""
    for number in range(700):
        journal.append(line(number, 1000))
    delete_all(journal)
    journal.retain_for(OUTLETS)
    (path,) = journal.directory.glob("*.jsonl")
    assert list(journal.directory.glob("*.ack")) == [path.with_suffix(".ack")]


def test_closed(journal: Journal) -> None:
    """After close, lines are refused and counted; no other file of the process gets them."""
    journal.append(line(1))
    journal.close()
    with open(journal.directory / "other", "wb+", buffering=0) as other:
        assert not journal.append(line(2, 1000))
        assert other.read() == b""
    assert sum(journal.unwritten.values()) == 1


def test_without_locks(tmp_path: Path) -> None:
    """Where a file system has no locks, a living writer on this node is told by its name."""
    from amllog.journal.lock import writer_is_gone

    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert writer_is_gone(f"20260101T000000-n-{process.pid}-0a0a0a.jsonl", "n")
    assert not writer_is_gone(f"20260101T000000-n-{os.getpid()}-0a0a0a.jsonl", "n")
    assert not writer_is_gone(f"20260101T000000-other-{process.pid}-0a0a0a.jsonl", "n")
    assert not writer_is_gone("foreign.jsonl", "n")


def test_names(journal: Journal) -> None:
    """A file's name sorts by time and has no character that a file system could refuse."""
    (path,) = journal.directory.glob("*.jsonl")
    assert path.name.isascii() and not set(path.name) & set('/\\:*?"<>| ')
