"""A second compaction of journals that have grown replaces the first one, even if it is killed."""

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

from ...conftest import RUN, append, log, write  # isort: skip

NOW = timedelta(0)
GROWS, GONE = "20261123T100000-node-1-aaaaaa.jsonl", "20261123T100000-node-2-bbbbbb.jsonl"

# Compacts each folder in a child process, which kills itself at the nth rename or removal below `compacted`.
KILLED = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from amllog.insights.stores.local.compaction import compact
import duckdb

def kill_at(number):
    remaining = [number]
    def watch(event, arguments):
        if event not in ("os.rename", "os.remove") or "amllog-read-" in str(arguments[0]):
            return
        if "compacted" in str(arguments[0]) or arguments[0].endswith(".parquet"):  # a path or a name
            remaining[0] -= 1
            if not remaining[0]:
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


def messages(folder: Path) -> list[str]:
    """Return the messages that amllog reads in a folder."""
    return sorted(row["message"] for row in connect(folder).logs())


def parquet_messages(folder: Path) -> list[str]:
    """Return the messages that a plain reader of Parquet finds."""
    files = str(folder / "compacted" / "*" / "[!_]*.parquet")
    rows = duckdb.sql(f"SELECT message FROM read_parquet('{files}', hive_partitioning = true)").fetchall()
    return sorted(message for (message,) in rows)


def write_grown_journal(folder: Path, *lines: Any) -> None:
    """Write a compacted journal that has grown, and whose batch has another source that is deleted."""
    write(folder / GROWS, log("one"), *lines)
    write(folder / GONE, log("gone"))
    compact(folder, idle=NOW)
    (folder / GONE).unlink()
    append(folder / GROWS, log("two"), log("three", parent_run_id="other"), *lines)


def test_every_reader_counts_each_record_once(tmp_path: Path) -> None:
    """Each reader counts a record once, with or without an id, also after a third compaction."""
    stock = {
        "time": "2026-11-22T11:00:00Z",
        "data": {"baseType": "MessageData", "baseData": {"message": "stock"}},
    }
    write_grown_journal(tmp_path, stock)
    done = compact(tmp_path, idle=NOW)
    # One file per run, and one for records without a run.
    assert (done.sources, done.outputs, done.unknown) == (1, 3, 0)
    expected = ["gone", "one", "stock", "stock", "three", "two"]
    assert (messages(tmp_path), parquet_messages(tmp_path)) == (expected, expected)
    append(tmp_path / GROWS, log("four"))
    assert compact(tmp_path, idle=NOW).sources == 1
    expected = sorted([*expected, "four"])
    assert (messages(tmp_path), parquet_messages(tmp_path)) == (expected, expected)
    dataset = pytest.importorskip("pyarrow.dataset")
    table = dataset.dataset(tmp_path / "compacted", format="parquet", partitioning="hive").to_table(
        ["message"]
    )
    assert sorted(table["message"].to_pylist()) == expected
    assert compact(tmp_path, idle=NOW)[:2] == (0, 0)


def test_records_without_ids_count_once_before_they_are_compacted_again(tmp_path: Path) -> None:
    """Parquet files with records without ids are not read while the journals have all of these records."""
    stock = {
        "time": "2026-11-22T11:00:00Z",
        "data": {"baseType": "MessageData", "baseData": {"message": "stock"}},
    }
    path = write(tmp_path / GROWS, stock)
    compact(tmp_path, idle=NOW)
    append(path, log("new"))
    assert messages(tmp_path) == ["new", "stock"]


def test_a_journal_with_another_start_loses_no_record(tmp_path: Path) -> None:
    """After a torn last line, or with another file of its name, each record counts once."""
    half = json.dumps(log("two"))
    path = write(tmp_path / GROWS, log("one"), half[:40])
    compact(tmp_path, idle=NOW)
    with path.open("a") as file:
        file.write(half[40:] + "\n")
    compact(tmp_path, idle=NOW)
    assert messages(tmp_path) == parquet_messages(tmp_path) == ["one", "two"]
    write(path, log("other"))
    compact(tmp_path, idle=NOW)
    assert messages(tmp_path) == parquet_messages(tmp_path) == ["one", "other", "two"]


def test_a_missing_parquet_file_is_written_again(tmp_path: Path) -> None:
    """All files of the batch of a missing Parquet file are replaced if the journal exists."""
    write(tmp_path / GROWS, log("one"), log("two", parent_run_id="other"))
    compact(tmp_path, idle=NOW)
    next((tmp_path / "compacted" / "parent_run_id=other").iterdir()).unlink()
    assert messages(tmp_path) == ["one", "two"]
    assert compact(tmp_path, idle=NOW).outputs == 2
    assert messages(tmp_path) == parquet_messages(tmp_path) == ["one", "two"]


def test_a_kill_at_any_moment(tmp_path: Path, child: Callable[..., Any]) -> None:
    """The answers are correct at once. After the next compaction, so are those of other readers."""
    expected = ["gone", "one", "three", "two"]
    folders = [tmp_path / f"killed{number}" for number in range(1, 8)]
    for folder in folders:
        write_grown_journal(folder)
    ended = child(KILLED, *map(str, folders)).stdout.split()
    # Kills: two new files, the manifest before and after, the old file, the manifest. The seventh had none.
    assert ended == [str(-signal.SIGKILL)] * 6 + ["0"]
    for folder in folders:
        assert messages(folder) == expected
        assert set(parquet_messages(folder)) >= {"gone", "one"}
        compact(folder, idle=NOW)
        assert messages(folder) == parquet_messages(folder) == expected
        assert json.loads((folder / "compacted" / MANIFEST).read_text())["leftovers"] == []
    states = [sorted(parquet_messages(folder)) for folder in folders]
    assert states == [expected] * len(folders)


def test_a_reader_during_compactions(tmp_path: Path) -> None:
    """Repeated queries return all records while the files that they read are replaced."""
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


def test_unknown_parquet_files_stay(tmp_path: Path) -> None:
    """A Parquet file that is not in the manifest is counted and not deleted."""
    write(tmp_path / GROWS, log("one"))
    unlisted = tmp_path / "compacted" / f"parent_run_id={RUN}" / "unlisted.parquet"
    unlisted.parent.mkdir(parents=True)
    unlisted.write_bytes(b"")
    assert compact(tmp_path, idle=NOW).unknown == 1
    manifest = tmp_path / "compacted" / MANIFEST
    compact(tmp_path, idle=NOW)
    assert (tmp_path / GROWS).exists()
    assert unlisted.exists()
    manifest.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        compact(tmp_path, idle=NOW)
