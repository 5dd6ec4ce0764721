"""A checkpoint: read within limits whatever it holds, written again where others have deleted it."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.exporters.app_insights.http_exporter import AppInsightsExporter
from amllog.exporters.run_metrics.azureml_exporter import AzureMLExporter
from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter
from amllog.journal.checkpoint_entries import (
    MAX_BYTES,
    MAX_LENGTH,
    MAX_LINE_BYTES,
    MAX_OUTLETS,
    MAX_REASONS,
    MAX_RETRIES,
    OTHER_REASONS,
    CheckpointEntry,
    parse_entry,
)
from amllog.journal.directory import claim, create_segment, open_read_only
from amllog.journal.segment import Segment

NAME = "20260101T000000-gone-999999-abcd.jsonl"
LINE = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """A leftover of ten lines, claimed."""
    (tmp_path / NAME).write_bytes(LINE * 10)
    found = claim(tmp_path / NAME, "gone")
    assert found is not None
    return found


def noted(path: Path) -> dict[str, Any]:
    """What a later process reads of the progress of outlet `a`."""
    found = open_read_only(path)
    assert found is not None
    progress = found.position("a")
    found.close()
    return {
        "to": progress.offset,
        "again": progress.retry,
        "delivered": progress.delivered,
        **progress.refused,
    }


def test_an_entry_is_read_as_it_was_written() -> None:
    """The longest entry that amllog writes is valid."""
    reasons = {f"{number:03}{'🔥' * (MAX_LENGTH - 3)}": 2 for number in range(MAX_REASONS)}
    again = list(
        range(
            2**40,
            2**40 + max(one.max_records for one in (AppInsightsExporter, AzureMLExporter, MLflowExporter)),
        )
    )
    assert len(again) <= MAX_RETRIES
    entry = CheckpointEntry("a", 2**41, 5, reasons, again)
    assert len(entry.line) <= MAX_LINE_BYTES
    assert parse_entry(entry.line) == entry


@pytest.mark.parametrize(
    "again",
    ["0,0", "5,4", "100", "5,100", ",".join(map(str, range(MAX_RETRIES + 1)))],
    ids=["equal", "falling", "behind the end", "last behind the end", "too many"],
)
def test_offsets_that_amllog_does_not_write(again: str) -> None:
    """Lines that wait are in order, each once, and before the end: an entry with others is invalid."""
    to = 100 if len(again) < 20 else 10**9
    line = b'{"outlet":"a","to":%d,"delivered":0,"again":[%s]}'
    assert parse_entry(line % (to, again.encode())) is None
    assert parse_entry(line % (to, b"0,5,99")) is not None


def test_many_reasons_and_outlets(segment: Segment) -> None:
    """Of thousands of reasons the first ones are kept, and all are counted; of many outlets the first ones are."""
    for number in range(3):
        reasons = Counter({f"{number} {reason}": 2 for reason in range(MAX_REASONS)})
        segment.acknowledge("a", number, 0, reasons, [])
    for number in range(20):
        segment.acknowledge(f"o{number}", 1, 1, Counter(), [])
    segment.close()
    later = open_read_only(segment.path)
    assert later is not None
    refused = later.position("a").refused
    assert len(refused) == MAX_REASONS + 1
    assert refused[OTHER_REASONS] == 2 * 2 * MAX_REASONS
    assert later.invalid_entries == 20 - (MAX_OUTLETS - 1)
    later.close()


READ = """
import sys
from pathlib import Path
from amllog.journal.directory import open_read_only

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

path, content = Path(sys.argv[1]), eval(sys.argv[2])
acks = path.with_suffix(".ack")
with open(acks, "wb") as file:
    for number in range(int(sys.argv[3])):
        file.write(content)
acks.rename(acks.with_suffix(".hostile"))
open_read_only(path).close()
del content
before = peak()
acks.with_suffix(".hostile").rename(acks)
segment = open_read_only(path)
print(peak() - before, segment.checkpoint_error, segment.position("a").offset)
"""
HOSTILE = {
    "entries": ("""b'{"outlet":"a","to":0,"delivered":0}\\n' * 1000""", 200),
    "newlines": ("""b'\\n' * 100_000""", 80),
    "heads": ("""b'{"outlet":\\n' * 1000""", 700),
    "lists": ("""b'{"outlet":"a","to":0,"delivered":0,"again":[' + b'[],' * 300_000 + b'0]}\\n'""", 8),
    "one line": ("""b'[],' * 100_000""", 27),
    "too much": ("""b'{"outlet":"a","to":0,"delivered":0}\\n' * 100_000""", 17),
}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("way", HOSTILE)
def test_memory(child: Any, tmp_path: Path, way: str) -> None:
    """Whatever a checkpoint holds, reading it takes little memory."""
    (tmp_path / NAME).write_bytes(LINE)
    content, count = HOSTILE[way]
    ran = child(READ, str(tmp_path / NAME), content, str(count))
    assert ran.returncode == 0, ran.stderr
    kilobytes, told = ran.stdout.split(maxsplit=1)
    assert int(kilobytes) < 50_000
    assert ("has more than" in told) == (way == "too much")


def unlink(acks: Path) -> None:
    """Delete it."""
    acks.unlink()


def move(acks: Path) -> None:
    """Move it away."""
    acks.rename(acks.with_name("moved"))


def restore(acks: Path) -> None:
    """Replace it by a copy of before."""
    before = acks.read_bytes().splitlines(keepends=True)[0]
    acks.with_name("copy").write_bytes(before)
    os.replace(acks.with_name("copy"), acks)


def rewrite(acks: Path) -> None:
    """Replace it by a copy of itself."""
    shutil.copy(acks, acks.with_name("copy"))
    os.replace(acks.with_name("copy"), acks)


def truncate(acks: Path) -> None:
    """Truncate it."""
    os.truncate(acks, 0)


@pytest.mark.parametrize("harm", [unlink, move, restore, rewrite, truncate])
def test_written_again(segment: Segment, harm: Any) -> None:
    """What was noted is at its place again with the next note, each count once."""
    size = len(LINE)
    segment.acknowledge("a", 4 * size, 3, Counter(bad=1), [])
    segment.acknowledge("a", 6 * size, 1, Counter(), [5 * size])
    harm(segment.path.with_suffix(".ack"))
    segment.acknowledge("a", 9 * size, 4, Counter(bad=1), [])
    expected = {"to": 9 * size, "again": [], "delivered": 8, "bad": 2}
    assert noted(segment.path) == expected
    segment.close()
    assert noted(segment.path) == expected


def test_written_again_after_a_directory(segment: Segment) -> None:
    """While a directory has its name, everything is in the spare; afterwards it is at its place."""
    acks, size = segment.path.with_suffix(".ack"), len(LINE)
    segment.acknowledge("a", 4 * size, 4, Counter(), [])
    acks.unlink()
    acks.mkdir()
    segment.acknowledge("a", 5 * size, 1, Counter(), [])
    segment.acknowledge("a", 6 * size, 1, Counter(), [])
    assert segment.unrecorded == "" and "is recorded only in" in segment.checkpoint.warning
    acks.rmdir()
    assert noted(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    segment.checkpoint.write_pending()
    assert segment.checkpoint.warning == ""
    assert acks.read_bytes().count(b'"to"') == 3
    assert noted(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    segment.close()


def test_equal_changes_of_counts_all_count(segment: Segment) -> None:
    """Batches that are sent again for their age change counts only: each of them counts, also in the spare."""
    acks, size, old = segment.path.with_suffix(".ack"), 10 * len(LINE), "too old"
    segment.acknowledge("a", size, 0, Counter({old: 10}), [])
    segment.acknowledge("a", size, 2, Counter({old: -2}), [])
    acks.rename(acks.with_name("notes"))
    acks.mkdir()
    for _ in range(3):
        segment.acknowledge("a", size, 2, Counter({old: -2}), [])
    assert "is recorded only in" in segment.checkpoint.warning
    acks.rmdir()
    assert noted(segment.path) == {"to": size, "again": [], "delivered": 8, old: 2}
    segment.close()
    assert noted(segment.path) == {"to": size, "again": [], "delivered": 8, old: 2}


def test_overwritten_by_another_program(segment: Segment) -> None:
    """Text that another program writes over a checkpoint stays as it is; what was noted is in the spare."""
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
    assert noted(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    assert acks.with_name("notes").read_bytes() == theirs


def test_a_reader_writes_nothing(segment: Segment) -> None:
    """Who only looks at a segment does not copy the spare of the process that holds it."""
    acks = segment.path.with_suffix(".ack")
    acks.mkdir()
    segment.acknowledge("a", len(LINE), 1, Counter(), [])
    acks.rmdir()
    assert noted(segment.path)["delivered"] == 1
    assert not acks.exists()
    segment.close()
    assert noted(segment.path)["delivered"] == 1 and acks.is_file()


def test_a_long_checkpoint_begins_anew(segment: Segment) -> None:
    """A file that nobody could read some day is replaced by one with the sums."""
    acks = segment.path.with_suffix(".ack")
    line = CheckpointEntry("a", 100, 1, {"bad": 1}, list(range(0, 100, 2))).line
    acks.write_bytes(line * (MAX_BYTES // 2 // len(line)))
    segment.close()
    again = claim(segment.path, "gone")
    assert again is not None
    count = again.position("a").delivered
    for number in range(3):
        again.acknowledge("a", 101 + number, 1, Counter(), [])
    again.close()
    assert acks.stat().st_size < 10_000
    assert noted(again.path) == {"to": 103, "again": [], "delivered": count + 3, "bad": count}


NO_ROOM = """
import os, resource, sys
from collections import Counter
from pathlib import Path
from amllog.journal.directory import claim

segment = claim(Path(sys.argv[1]), "gone")
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
segment.acknowledge("a", 10, 1, Counter(), [])
print(segment.checkpoint.warning)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
if os.fork() == 0:
    segment.close()
    os._exit(0)
os.wait()
acks = Path(sys.argv[1]).with_suffix(".ack")
print(acks.stat().st_size)
segment.close()
print(acks.read_text())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_a_forked_child_writes_nothing(segment: Segment, child: Any) -> None:
    """What could not be noted is noted by its process at its end, and not by a fork of it as well."""
    segment.close()
    ran = child(NO_ROOM, str(segment.path))
    assert ran.returncode == 0, ran.stderr
    doubt, size, entry = ran.stdout.splitlines()[:3]
    acks = segment.path.with_suffix(".ack")
    assert doubt == f"{acks}: cannot record what was sent (File too large), so it may be sent twice"
    assert (size, entry) == ("0", '{"outlet": "a", "to": 10, "delivered": 1}')


def test_room_for_the_next_entries(tmp_path: Path) -> None:
    """From its first moment on, a checkpoint has a kilobyte of the disk for the next entries, and is read as before."""
    segment = create_segment(tmp_path, "n")
    acks = segment.path.with_suffix(".ack")
    segment.checkpoint.reserve("a")
    for number in range(500):
        room = -acks.stat().st_size % 4096
        assert room >= 1024
        segment.acknowledge("a", 0, 1, Counter({"x" * (number % 200): 1}), [])
    segment.close()
    later = open_read_only(segment.path)
    assert later is not None
    assert (later.position("a").delivered, later.invalid_entries) == (500, 0)
    assert sum(later.position("a").refused.values()) == 500
    later.close()


FORK_IN_A_LOOK = """
import os, signal, sys, threading
from pathlib import Path
from amllog.journal import fallback_checkpoint
from amllog.journal.fallback_checkpoint import FallbackCheckpoint
looking, forked = threading.Event(), threading.Event()

def stop(frame, event, argument):
    if event == "call" and frame.f_code is fallback_checkpoint._candidates.__code__:
        looking.set()
        forked.wait()

def check():
    sys.setprofile(stop)
    FallbackCheckpoint(Path("one.jsonl")).lines()

thread = threading.Thread(target=check)
thread.start()
looking.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    FallbackCheckpoint(Path("two.jsonl")).lines()
    os._exit(0)
forked.set()
thread.join()
print(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_fork_while_another_thread_looks_for_a_spare(child: Any) -> None:
    """A fork while another thread looks for a spare checkpoint leaves no lock in the child, which looks as well."""
    ran = child(FORK_IN_A_LOOK)
    assert ran.stdout == "0\n", ran.stderr
