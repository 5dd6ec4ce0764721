"""The files that the user can delete."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from amllog.journal.deletable import DELIVERED, ONLY_HERE, UNUSED, find_deletable
from amllog.journal.directory import claim
from amllog.journal.writer import Journal

from .conftest import ENTRY, LINE, keyed_line, orphan_name  # isort: skip


def found(directory: Path) -> dict[str, str]:
    """Return the names of the files that can be deleted, with the reason."""
    return {path.name: reason for path, _, reason in find_deletable(directory, "n")}


def write_orphan(
    directory: Path, line: bytes, *, settled: tuple[str, ...] = (), retry: tuple[int, ...] = ()
) -> Path:
    """Write a segment of an ended process, of which these outlets have settled every line except `retry`."""
    path = directory / orphan_name(1)
    path.write_bytes(line)
    if settled:
        segment = claim(path, "gone")
        assert segment is not None
        for outlet in settled:
            segment.acknowledge(outlet, len(line), 1, Counter(), retry)
        segment.close()
    return path


@pytest.mark.parametrize(
    ("line", "settled", "reason"),
    [
        (keyed_line("k"), ("app_insights",), DELIVERED),
        (keyed_line("k"), ("app_insights", "run_metrics"), DELIVERED),
        (keyed_line(None, metric=True), ("run_metrics",), DELIVERED),
        (keyed_line(""), (), ONLY_HERE),
        (keyed_line("k"), (), None),  # it waits
        (keyed_line("k"), ("run_metrics",), None),
        (keyed_line(None, metric=True), ("app_insights",), None),
        (keyed_line("") + keyed_line("k"), (), None),
        (keyed_line("k") + b"notes of the user\n", ("app_insights",), None),
        (b"notes of the user\n", ("app_insights",), None),
        (b"", (), None),  # its writer may be about to lock it
    ],
)
def test_segments(tmp_path: Path, line: bytes, settled: tuple[str, ...], reason: str | None) -> None:
    """A segment and its checkpoint can be deleted if no line waits. Reading changes nothing."""
    path = write_orphan(tmp_path, line, settled=settled if line.startswith(b"{") else ())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert found(tmp_path) == (dict.fromkeys(before, reason) if reason else {})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert path.exists()


def test_a_line_that_is_sent_again_waits(tmp_path: Path) -> None:
    """A segment with a line that the service wants again is not listed."""
    write_orphan(tmp_path, keyed_line("k"), settled=("app_insights",), retry=(0,))
    assert found(tmp_path) == {}


def test_a_segment_of_a_running_process(tmp_path: Path) -> None:
    """A segment that a process writes to is not listed, although all its records are delivered."""
    journal = Journal(tmp_path, max_bytes=1024**2, node="n", outlets=["app_insights"])
    journal.append(keyed_line("k"))
    (segment,) = journal.segments
    segment.acknowledge("app_insights", segment.size, 1, Counter(), [])
    assert found(tmp_path) == {}
    journal.close()
    assert set(found(tmp_path).values()) == {DELIVERED}


def test_a_linked_segment(tmp_path: Path) -> None:
    """A segment with another hard link, which may be a file of the user, is not listed."""
    os.link(write_orphan(tmp_path, keyed_line("")), tmp_path / "mine")
    assert found(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "age_hours", "listed"),
    [(ENTRY, 25, True), (ENTRY, 1, False), (b"mine\n", 25, False), (b"", 25, False)],
)
def test_checkpoints_without_a_segment(tmp_path: Path, content: bytes, age_hours: int, listed: bool) -> None:
    """An old checkpoint without a segment can be deleted. Its size is reported."""
    path = tmp_path / orphan_name(1).replace(".jsonl", ".ack")
    path.write_bytes(content)
    os.utime(path, (time.time() - age_hours * 3600,) * 2)
    entries = list(find_deletable(tmp_path, "n"))
    assert [(entry.path, entry.reason) for entry in entries] == ([(path, UNUSED)] if listed else [])
    assert [entry.size for entry in entries] == ([len(content)] if listed else [])


def test_unused_copies(tmp_path: Path) -> None:
    """A copy of an ended process that no line names can be deleted. Other files beside it are not listed."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    for name in ("0123456789ab-model.bin", "fedcba987654-named.bin", "mine.bin"):
        (folder / name).write_bytes(b"1")
        (folder / name).chmod(0o600)
        os.utime(folder / name, (time.time() - 25 * 3600,) * 2)
    write_orphan(tmp_path, LINE.replace(b"}", b',"x":"artifacts/fedcba987654-named.bin"}'))
    assert {name: why for name, why in found(tmp_path).items() if why == UNUSED} == {
        "0123456789ab-model.bin": UNUSED
    }
