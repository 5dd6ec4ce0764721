"""The checkpoint of a segment after others have deleted or changed its file."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.journal.checkpoint_entries import (
    MAX_BYTES,
    CheckpointEntry,
)
from amllog.journal.directory import claim
from amllog.journal.segment import Segment

from .conftest import LINE, recorded  # isort: skip


def unlink(acks: Path) -> None:
    """Delete the file."""
    acks.unlink()


def move(acks: Path) -> None:
    """Move the file."""
    acks.rename(acks.with_name("moved"))


def restore(acks: Path) -> None:
    """Replace the file by an earlier copy."""
    before = acks.read_bytes().splitlines(keepends=True)[0]
    acks.with_name("copy").write_bytes(before)
    os.replace(acks.with_name("copy"), acks)


def rewrite(acks: Path) -> None:
    """Replace the file by a copy of itself."""
    shutil.copy(acks, acks.with_name("copy"))
    os.replace(acks.with_name("copy"), acks)


def truncate(acks: Path) -> None:
    """Truncate the file."""
    os.truncate(acks, 0)


@pytest.mark.parametrize("change", [unlink, move, restore, rewrite, truncate])
def test_a_changed_file_is_written_again(segment: Segment, change: Any) -> None:
    """After others have changed the file, the next entry writes all recorded entries again, each count once."""
    size = len(LINE)
    segment.acknowledge("a", 4 * size, 3, Counter(bad=1), [])
    segment.acknowledge("a", 6 * size, 1, Counter(), [5 * size])
    change(segment.path.with_suffix(".ack"))
    segment.acknowledge("a", 9 * size, 4, Counter(bad=1), [])
    expected = {"to": 9 * size, "again": [], "delivered": 8, "bad": 2}
    assert recorded(segment.path) == expected
    segment.close()
    assert recorded(segment.path) == expected


def test_entries_return_from_the_fallback(segment: Segment) -> None:
    """While a directory has the name of the file, entries are in the fallback. Later they are in the file."""
    acks, size = segment.path.with_suffix(".ack"), len(LINE)
    segment.acknowledge("a", 4 * size, 4, Counter(), [])
    acks.unlink()
    acks.mkdir()
    segment.acknowledge("a", 5 * size, 1, Counter(), [])
    segment.acknowledge("a", 6 * size, 1, Counter(), [])
    assert segment.unrecorded == "" and "is recorded only in" in segment.checkpoint.warning
    acks.rmdir()
    assert recorded(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    segment.checkpoint.write_pending()
    assert segment.checkpoint.warning == ""
    assert acks.read_bytes().count(b'"to"') == 3
    assert recorded(segment.path) == {"to": 6 * size, "again": [], "delivered": 6}
    segment.close()


def test_equal_entries_all_count(segment: Segment) -> None:
    """Entries with the same change of counts all count, also in the fallback."""
    acks, size, old = segment.path.with_suffix(".ack"), 10 * len(LINE), "too old"
    segment.acknowledge("a", size, 0, Counter({old: 10}), [])
    segment.acknowledge("a", size, 2, Counter({old: -2}), [])
    acks.rename(acks.with_name("notes"))
    acks.mkdir()
    for _ in range(3):
        segment.acknowledge("a", size, 2, Counter({old: -2}), [])
    assert "is recorded only in" in segment.checkpoint.warning
    acks.rmdir()
    assert recorded(segment.path) == {"to": size, "again": [], "delivered": 8, old: 2}
    segment.close()
    assert recorded(segment.path) == {"to": size, "again": [], "delivered": 8, old: 2}


def test_a_reader_writes_nothing(segment: Segment) -> None:
    """Reading a segment does not copy the fallback of the process that has the lock."""
    acks = segment.path.with_suffix(".ack")
    acks.mkdir()
    segment.acknowledge("a", len(LINE), 1, Counter(), [])
    acks.rmdir()
    assert recorded(segment.path)["delivered"] == 1
    assert not acks.exists()
    segment.close()
    assert recorded(segment.path)["delivered"] == 1 and acks.is_file()


def test_a_long_file_is_shortened(segment: Segment) -> None:
    """A long file is replaced by one with the sums before it becomes too long for readers."""
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
    assert recorded(again.path) == {"to": 103, "again": [], "delivered": count + 3, "bad": count}


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
    """An entry that could not be written is written by its process at the end, and not by a forked child."""
    segment.close()
    ran = child(NO_ROOM, str(segment.path))
    assert ran.returncode == 0, ran.stderr
    warning, size, entry = ran.stdout.splitlines()[:3]
    acks = segment.path.with_suffix(".ack")
    assert warning == f"{acks}: cannot record what was sent (File too large), so it may be sent twice"
    assert (size, entry) == ("0", '{"outlet": "a", "to": 10, "delivered": 1}')
