"""Journals that have grown since they were compacted: the second compaction replaces the first, killed or not."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

import duckdb

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.manifest import MANIFEST

from ...conftest import RUN, log, write  # isort: skip

NOW = timedelta(0)
GROWS, GONE = "20261123T100000-node-1-aaaaaa.jsonl", "20261123T100000-node-2-bbbbbb.jsonl"

# Compacts each folder in a process of its own, which kills itself at the nth rename or removal below `compacted`.
KILLED = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from amllog.insights.stores.local.compaction import compact
import duckdb

def kill_at(number):
    left = [number]
    def watch(event, arguments):
        if event not in ("os.rename", "os.remove") or "amllog-read-" in str(arguments[0]):
            return
        if "compacted" in str(arguments[0]) or arguments[0].endswith(".parquet"):  # whole, or within its folder
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

for number, folder in enumerate(sys.argv[1:], 1):
    pid = os.fork()
    if not pid:
        kill_at(number)
        compact(Path(folder), idle=timedelta(0))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def said(folder: Path) -> list[str]:
    """What amllog reads there."""
    return sorted(row["message"] for row in connect(folder).logs())


def others_read(folder: Path) -> list[str]:
    """What a reader finds that knows nothing but Parquet."""
    files = str(folder / "compacted" / "*" / "[!_]*.parquet")
    rows = duckdb.sql(f"SELECT message FROM read_parquet('{files}', hive_partitioning = true)").fetchall()
    return sorted(message for (message,) in rows)


def append(path: Path, *lines: Any) -> None:
    """More at the end of a file."""
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def grown(folder: Path, *lines: Any) -> None:
    """A journal that was compacted with another, which is gone, and has grown since, also by another run."""
    write(folder / GROWS, log("one"), *lines)
    write(folder / GONE, log("gone"))
    compact(folder, idle=NOW)
    (folder / GONE).unlink()
    append(folder / GROWS, log("two"), log("three", parent_run_id="other"), *lines)


def test_every_reader_counts_each_record_once(tmp_path: Path) -> None:
    """Also a record without an id, twice and meant so; also in what pyarrow reads; and a third time."""
    stock = {
        "time": "2026-11-22T11:00:00Z",
        "data": {"baseType": "MessageData", "baseData": {"message": "stock"}},
    }
    grown(tmp_path, stock)
    done = compact(tmp_path, idle=NOW)
    assert (done.sources, done.outputs, done.unknown) == (1, 3, 0)  # a file for each run, and for no run
    expected = ["gone", "one", "stock", "stock", "three", "two"]
    assert (said(tmp_path), others_read(tmp_path)) == (expected, expected)
    append(tmp_path / GROWS, log("four"))
    assert compact(tmp_path, idle=NOW).sources == 1
    expected = sorted([*expected, "four"])
    assert (said(tmp_path), others_read(tmp_path)) == (expected, expected)
    dataset = pytest.importorskip("pyarrow.dataset")
    found = dataset.dataset(tmp_path / "compacted", format="parquet", partitioning="hive").to_table(
        ["message"]
    )
    assert sorted(found["message"].to_pylist()) == expected
    assert compact(tmp_path, idle=NOW)[:2] == (0, 0)


def test_records_without_ids_count_once_before_they_are_compacted_again(tmp_path: Path) -> None:
    """The journals have them all: what stands for them in Parquet is then not read."""
    stock = {
        "time": "2026-11-22T11:00:00Z",
        "data": {"baseType": "MessageData", "baseData": {"message": "stock"}},
    }
    path = write(tmp_path / GROWS, stock)
    compact(tmp_path, idle=NOW)
    append(path, log("new"))
    assert said(tmp_path) == ["new", "stock"]


def test_a_journal_that_begins_otherwise_loses_nothing(tmp_path: Path) -> None:
    """A last line that was torn, or another file of its name: what was compacted stays, each record counts once."""
    half = json.dumps(log("two"))
    path = write(tmp_path / GROWS, log("one"), half[:40])
    compact(tmp_path, idle=NOW)
    with path.open("a") as file:
        file.write(half[40:] + "\n")
    compact(tmp_path, idle=NOW)
    assert said(tmp_path) == others_read(tmp_path) == ["one", "two"]
    write(path, log("other"))
    compact(tmp_path, idle=NOW)
    assert said(tmp_path) == others_read(tmp_path) == ["one", "other", "two"]


def test_a_file_that_is_gone_is_made_again(tmp_path: Path) -> None:
    """Where its journal is there; what else came of the batch is replaced with it."""
    write(tmp_path / GROWS, log("one"), log("two", parent_run_id="other"))
    compact(tmp_path, idle=NOW)
    next((tmp_path / "compacted" / "parent_run_id=other").iterdir()).unlink()
    assert said(tmp_path) == ["one", "two"]
    assert compact(tmp_path, idle=NOW).outputs == 2
    assert said(tmp_path) == others_read(tmp_path) == ["one", "two"]


def test_a_kill_at_any_moment(tmp_path: Path, child: Callable[..., Any]) -> None:
    """amllog's answers are right at once; after the next compaction, so are all others', and nothing is left over."""
    expected = ["gone", "one", "three", "two"]
    folders = [tmp_path / f"killed{number}" for number in range(1, 8)]
    for folder in folders:
        grown(folder)
    ended = child(KILLED, *map(str, folders)).stdout.split()
    # Two new files, the manifest before and after, the old file, the manifest: then it was left alone.
    assert ended == [str(-signal.SIGKILL)] * 6 + ["0"]
    for folder in folders:
        assert said(folder) == expected
        assert set(others_read(folder)) >= {"gone", "one"}
        compact(folder, idle=NOW)
        assert said(folder) == others_read(folder) == expected
        assert json.loads((folder / "compacted" / MANIFEST).read_text())["leftovers"] == []
    states = [sorted(others_read(folder)) for folder in folders]
    assert states == [expected] * len(folders)


def test_a_reader_meanwhile(tmp_path: Path) -> None:
    """A question asked again and again has the same answer while the files that it reads are replaced."""
    write(tmp_path / GROWS, log("0"))
    compact(tmp_path, idle=NOW)
    questions = connect(tmp_path)
    answers: list[Sequence[str]] = []

    def ask(_done: int, _all: int) -> None:
        answers.append([row["message"] for row in questions.logs()])

    for number in range(1, 4):
        append(tmp_path / GROWS, log(str(number)))
        compact(tmp_path, idle=NOW, progress=ask)
    assert [sorted(answer) for answer in answers] == [[*"01"], [*"012"], [*"0123"]]


def test_what_no_compaction_knows_is_left_and_told(tmp_path: Path) -> None:
    """Parquet of another folder, say, whose journals may be gone: it is not removed."""
    write(tmp_path / GROWS, log("one"))
    stranger = tmp_path / "compacted" / f"parent_run_id={RUN}" / "stranger.parquet"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"")
    assert compact(tmp_path, idle=NOW).unknown == 1
    manifest = tmp_path / "compacted" / MANIFEST
    compact(tmp_path, idle=NOW)
    assert (tmp_path / GROWS).exists()
    assert stranger.exists()
    manifest.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        compact(tmp_path, idle=NOW)
