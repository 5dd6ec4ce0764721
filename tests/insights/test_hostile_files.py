"""Files in a journal directory that are not what their names say: they are left out, and reported."""

from __future__ import annotations

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.compaction import LOCK, compact
from amllog.insights.local_store import LocalStore
from amllog.insights.manifest import BATCHES, LEFTOVERS, MANIFEST
from amllog.insights.plain_store import PlainStore
from amllog.insights.questions import Questions

OWN = {"parent_run_id": "r1", "step_id": "s1", "step_name": "train", "record_id": "a-1"}
RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": OWN}},
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A journal directory with one record, a FIFO, a link, a sparse file and a hostile index."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "link.jsonl").symlink_to("/etc/passwd")
    (tmp_path / "dir.jsonl").mkdir()
    with (tmp_path / "sparse.jsonl").open("wb") as file:
        file.truncate(8 << 30)
    (tmp_path / ".amllog-index.json").write_text('{"version": 5, "files": {"a": [1]}}')
    return tmp_path


@pytest.mark.parametrize("store", [LocalStore, PlainStore])
def test_hostile_files_are_left_out_and_reported(hostile: Path, store: Any) -> None:
    """A FIFO, a link and a line beyond the limit are notes of the answer; the other files are read."""
    found = Questions(store([hostile])).logs("r1")
    assert [row["message"] for row in found] == ["hello"]
    told = [Path(note.split(": ")[1]).name for note in found.notes]
    index = [".amllog-index.json"] if store is LocalStore else []
    assert told == ["fifo.jsonl", "link.jsonl", *index, "sparse.jsonl"]


def test_compact_keeps_files_of_others(hostile: Path) -> None:
    """A Parquet file that no compaction made stays, whatever its name begins with."""
    theirs = hostile / "compacted" / "x=1" / "_mine.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("PAR1")
    assert compact(hostile, idle=timedelta(0)).outputs == 1
    assert theirs.read_text() == "PAR1"


@pytest.mark.parametrize("store", [LocalStore, PlainStore])
def test_files_beyond_the_limits_are_left_out_and_reported(tmp_path: Path, store: Any) -> None:
    """A gzip bomb and a line beyond the limit are notes of the answer; the other files are read."""
    line = json.dumps(RECORD) + "\n"
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(line)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(line.encode() + b" " * (40 << 20)))
    (tmp_path / "long.jsonl").write_text(line.replace("hello", "h" * (17 << 20)))
    found = Questions(store([tmp_path])).logs("r1")
    assert [row["message"] for row in found] == ["hello"]
    assert sorted(Path(note.split(": ")[1]).name for note in found.notes) == ["bomb.gz", "long.jsonl"]


@pytest.mark.parametrize("planted", ["a link", "a file"])
def test_compact_writes_to_no_planted_lock(tmp_path: Path, planted: str) -> None:
    """A link to a file of the user, or such a file itself, in place of the lock: it stays, and an error says so."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    folder = tmp_path / "compacted"
    folder.mkdir()
    theirs = tmp_path / "model.bin" if planted == "a link" else folder / LOCK
    theirs.write_text("weights")
    if planted == "a link":
        (folder / LOCK).symlink_to(theirs)
    with pytest.raises((UsageError, OSError), match=LOCK):
        compact(tmp_path, idle=timedelta(0))
    assert theirs.read_text() == "weights"


@pytest.mark.parametrize(
    "name", ["../../model.parquet", "/etc/passwd", "parent_run_id=r/model.parquet", "../model.parquet"]
)
def test_a_manifest_deletes_no_file_of_others(tmp_path: Path, name: str) -> None:
    """A manifest that names a file which no compaction can have made: an error names it, and the file stays."""
    journal = tmp_path / "journal"
    folder = journal / "compacted"
    (folder / "parent_run_id=r").mkdir(parents=True)
    theirs = [
        tmp_path / "model.parquet",
        journal / "model.parquet",
        folder / "parent_run_id=r" / "model.parquet",
    ]
    for path in theirs:
        path.write_bytes(b"PAR1 of the user PAR1")
    (journal / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (folder / MANIFEST).write_text(json.dumps({BATCHES: [], LEFTOVERS: [name]}))
    with pytest.raises(UsageError, match=MANIFEST):
        compact(journal, idle=timedelta(0))
    assert [path.read_bytes() for path in theirs] == [b"PAR1 of the user PAR1"] * 3
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"batches": 3}', '{"batches": [{"sources": 1e999}]}', "\0" * 50]
)
def test_a_hostile_manifest_is_reported(tmp_path: Path, content: str) -> None:
    """A manifest that is none is an error of `compact` that names it; nothing is written."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "compacted").mkdir()
    (tmp_path / "compacted" / MANIFEST).write_text(content)
    with pytest.raises(UsageError, match=MANIFEST):
        compact(tmp_path, idle=timedelta(0))
    assert (tmp_path / "compacted" / MANIFEST).read_text() == content
