"""The disk space of our files, and the deletion of settled ones."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from amllog.delivery import account
from amllog.journal import disk_usage
from amllog.journal.directory import claim
from amllog.journal.disk_usage import is_fully_settled
from amllog.journal.refused_counts import TRUNCATED
from amllog.journal.writer import Journal

from .conftest import ENTRY, LINE, delete_settled, keyed_line, orphan_name  # isort: skip


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


@pytest.mark.parametrize(
    ("line", "age_hours", "outlets", "done"),
    [
        (keyed_line("k"), 0, ["app_insights"], False),
        (keyed_line("k"), 90, [], False),  # another process may have the resource
        (keyed_line("k"), 90, ["run_metrics"], False),
        (keyed_line(""), 1, [], False),
        (keyed_line(""), 49, [], True),  # too old for the service
        (keyed_line(None), 0, [], True),
        (keyed_line(None, metric=True), 90, [], False),
        (keyed_line(None, metric=True), 90, ["app_insights"], False),
        (keyed_line(None, metric=True), 90, ["run_metrics"], False),
    ],
)
def test_fully_settled_segments(
    tmp_path: Path, line: bytes, age_hours: int, outlets: list[str], done: bool
) -> None:
    """A segment is fully settled if no outlet of this process or of other processes wants one of its lines."""
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


@pytest.mark.parametrize("outlets", [(), ("a",)])
@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_files_are_not_deleted(tmp_path: Path, content: bytes, outlets: tuple[str, ...]) -> None:
    """A file with a line that is not a record is not deleted."""
    path = tmp_path / orphan_name(1)
    path.write_bytes(content)
    if outlets:
        path.with_suffix(".ack").write_bytes(ENTRY.replace(b"%d" % len(LINE), b"%d" % len(content)))
    assert delete_settled(tmp_path, *outlets) == 0
    assert path.read_bytes() == content


def test_a_settled_segment_is_deleted(tmp_path: Path) -> None:
    """A settled segment is deleted with its checkpoint, although it has torn lines."""
    path = tmp_path / orphan_name(1)
    path.write_bytes(b'{"time":"2026\n' + LINE * 100 + b'{"ti\n' + LINE + LINE[:-5])
    path.with_suffix(".ack").write_bytes(ENTRY)
    assert delete_settled(tmp_path) > 0
    assert not path.exists()
    assert not path.with_suffix(".ack").exists()


def test_lost_records_of_a_deleted_segment_stay_counted(tmp_path: Path) -> None:
    """Records that another program has cut off stay refused after the segment is deleted."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["a"])
    for _ in range(20):
        journal.append(LINE)
    (segment,) = journal.segments
    os.truncate(segment.path, 10 * len(LINE))
    segment.acknowledge("a", 10 * len(LINE), 10, Counter(), [], passed=10)
    journal.append(LINE)
    assert disk_usage.delete_settled(tmp_path, 1024**3, journal.segments, "n", ["a"]) > 0
    assert not segment.path.exists()
    result = account.tally([segment], {"a": lambda line: True}, Counter(), "")
    assert result.accepted == 20
    assert str(result.outlets["a"]) == f"10 delivered, 0 waiting, 10 refused (10 × {TRUNCATED})"


def test_a_segment_that_another_process_has_delivered(tmp_path: Path) -> None:
    """A segment whose lock another process has is deleted once that process has delivered it."""
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
