"""Files in a journal directory that are not what their names say: they are left out, and reported."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amllog.insights.compaction import compact
from amllog.insights.local_store import LocalStore
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
    assert [Path(note.split(": ")[1]).name for note in found.notes] == [
        "fifo.jsonl",
        "link.jsonl",
        "sparse.jsonl",
    ]


def test_compact_keeps_files_of_others(hostile: Path) -> None:
    """A Parquet file that no compaction made stays, whatever its name begins with."""
    theirs = hostile / "compacted" / "x=1" / "_mine.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("PAR1")
    assert compact(hostile, idle=timedelta(0)).outputs == 1
    assert theirs.read_text() == "PAR1"
