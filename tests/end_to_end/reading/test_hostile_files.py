"""Hostile files in a journal directory are skipped and reported."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.questions import Questions
from amllog.insights.stores.local import index_file
from amllog.insights.stores.local.compaction import LOCK, compact
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.manifest import BATCHES, LEFTOVERS, MANIFEST
from amllog.insights.stores.local.python_store import PythonStore

OWN = {"parent_run_id": "r1", "step_id": "s1", "step_name": "train", "record_id": "a-1"}
RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": OWN}},
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a journal directory with one record, a FIFO, a link, a sparse file and an invalid index."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "link.jsonl").symlink_to("/etc/passwd")
    (tmp_path / "dir.jsonl").mkdir()
    with (tmp_path / "sparse.jsonl").open("wb") as file:
        file.truncate(8 << 30)
    (tmp_path / ".amllog-index.json").write_text('{"version": 6, "files": {"a": [1]}}')
    return tmp_path


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_hostile_files_are_left_out_and_reported(hostile: Path, store: Any) -> None:
    """A FIFO, a link and a very long line are in the notes, and the other files are read."""
    table = Questions(store([hostile])).logs("r1")
    assert [row["message"] for row in table] == ["hello"]
    names = [Path(note.split(": ")[1]).name for note in table.notes]
    index = [".amllog-index.json"] if store is DuckDBStore else []
    assert names == ["fifo.jsonl", "link.jsonl", *index, "sparse.jsonl"]


def test_compact_keeps_files_of_others(hostile: Path) -> None:
    """A Parquet file of another program stays, even with the prefix of unfinished files."""
    theirs = hostile / "compacted" / "x=1" / "_mine.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("PAR1")
    assert compact(hostile, idle=timedelta(0)).outputs == 1
    assert theirs.read_text() == "PAR1"


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_files_beyond_the_limits_are_left_out_and_reported(tmp_path: Path, store: Any) -> None:
    """A gzip bomb and a very long line are in the notes, and the other files are read."""
    line = json.dumps(RECORD) + "\n"
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(line)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(line.encode() + b" " * (40 << 20)))
    (tmp_path / "long.jsonl").write_text(line.replace("hello", "h" * (17 << 20)))
    table = Questions(store([tmp_path])).logs("r1")
    assert [row["message"] for row in table] == ["hello"]
    assert sorted(Path(note.split(": ")[1]).name for note in table.notes) == ["bomb.gz", "long.jsonl"]


@pytest.mark.parametrize("planted", ["a link", "a file"])
def test_compact_writes_to_no_planted_lock(tmp_path: Path, planted: str) -> None:
    """A link or a file of the user in place of the lock is not changed, and the error names it."""
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
    """A manifest with a name that no compaction creates is an error, and the file stays."""
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
    """An invalid manifest is an error that names it, and nothing is written."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "compacted").mkdir()
    (tmp_path / "compacted" / MANIFEST).write_text(content)
    with pytest.raises(UsageError, match=MANIFEST):
        compact(tmp_path, idle=timedelta(0))
    assert (tmp_path / "compacted" / MANIFEST).read_text() == content


FOREIGN_INDEXES = {
    "another version": '{"version": 7, "files": {}}',
    "another member": '{"version": 5, "files": {}, "mine": 1}',
    "another program": '{"version": 7, "mine": "index of the user"}',
    "a list": "[]",
    "other spaces": '{"version":5,"files":{}}',
    "other types": '{"version": 6, "files": {"a": [1, 1, 0, {}, [], ""]}}',
    "torn": '{"version": 5, "files": {"a": [1, 1, 0',
    "nested": '{"version": 5, "files": {"a": ' + "[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN_INDEXES.values(), ids=FOREIGN_INDEXES)
def test_an_index_of_others_stays(tmp_path: Path, content: str) -> None:
    """A file of another program in place of the index is in the notes, and is neither replaced nor used."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / index_file.INDEX_NAME).write_text(content)
    for _ in range(2):
        table = Questions(DuckDBStore([tmp_path])).logs("r1")
        assert [row["message"] for row in table] == ["hello"]
        [note] = table.notes
        assert index_file.INDEX_NAME in note
    assert (tmp_path / index_file.INDEX_NAME).read_text() == content


@pytest.mark.parametrize("version", range(1, index_file.VERSION))
def test_an_index_of_an_earlier_version_is_replaced(tmp_path: Path, version: int) -> None:
    """The index of an earlier version is created again."""
    name = "20261122T205235-n-1-abcd.jsonl"
    (tmp_path / name).write_text(json.dumps(RECORD) + "\n")
    (tmp_path / index_file.INDEX_NAME).write_text(
        f'{{"version": {version}, "files": {{"{name}": [1, 2, []]}}}}'
    )
    assert not Questions(DuckDBStore([tmp_path])).logs("r1").notes
    assert json.loads((tmp_path / index_file.INDEX_NAME).read_text())["version"] == index_file.VERSION


def test_an_index_forgets_deleted_files(tmp_path: Path) -> None:
    """Entries of deleted files are removed, so that the index does not grow without a limit."""
    for number in range(2):
        (tmp_path / f"20261122T20523{number}-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    Questions(DuckDBStore([tmp_path])).logs("r1")
    (tmp_path / "20261122T205230-n-1-abcd.jsonl").unlink()
    (tmp_path / "20261122T205232-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    Questions(DuckDBStore([tmp_path])).logs("r1")
    known = json.loads((tmp_path / index_file.INDEX_NAME).read_text())["files"]
    assert sorted(known) == ["20261122T205231-n-1-abcd.jsonl", "20261122T205232-n-1-abcd.jsonl"]


def test_a_manifest_of_others_stays(tmp_path: Path) -> None:
    """A file of another program in place of the manifest is an error of `compact` and a note of answers."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "compacted").mkdir()
    content = '{"batches": [], "mine": "a manifest of the user"}'
    (tmp_path / "compacted" / MANIFEST).write_text(content)
    with pytest.raises(UsageError, match=MANIFEST):
        compact(tmp_path, idle=timedelta(0))
    table = Questions(DuckDBStore([tmp_path])).logs("r1")
    assert [row["message"] for row in table] == ["hello"]
    assert [MANIFEST in note for note in table.notes] == [True]
    assert (tmp_path / "compacted" / MANIFEST).read_text() == content


@pytest.mark.parametrize("content", ["magic", "whole"])
def test_a_manifest_deletes_no_parquet_of_others(tmp_path: Path, content: str) -> None:
    """Parquet files with our names and other columns stay, even if the manifest lists them as leftovers."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    folder = tmp_path / "compacted" / "parent_run_id=y"
    folder.mkdir(parents=True)
    theirs = [folder / f"{'e' * 32}.parquet", folder / f"_{'e' * 32}.parquet"]
    for path in theirs:
        path.write_bytes(b"PAR1 of the user PAR1")
        if content == "whole":
            Engine().run(f"COPY (SELECT 1 AS timestamp, 2 AS message) TO '{path}' (FORMAT parquet)")
    before = [path.read_bytes() for path in theirs]
    leftovers = [f"parent_run_id=y/{theirs[0].name}"]
    (tmp_path / "compacted" / MANIFEST).write_text(json.dumps({BATCHES: [], LEFTOVERS: leftovers}))
    done = compact(tmp_path, idle=timedelta(0))
    assert [path.read_bytes() for path in theirs] == before
    assert done.unknown == 2


def test_whole_unfinished_files_are_deleted(tmp_path: Path) -> None:
    """A file with our columns is recognized without a mark."""
    (tmp_path / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    compact(tmp_path, idle=timedelta(0))
    [parquet] = (tmp_path / "compacted").glob("*/*.parquet")
    copy = parquet.with_name(f"_{'e' * 32}.parquet")
    copy.write_bytes(parquet.read_bytes())
    compact(tmp_path, idle=timedelta(0))
    assert [*(tmp_path / "compacted").glob("*/*")] == [parquet]


WITHIN = """
import resource, sys
from datetime import timedelta
from pathlib import Path
from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
warm, place = map(Path, sys.argv[1:3])
print([row["message"] for row in connect(warm).logs()])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print([row["message"] for row in connect(place).logs()])
if sys.argv[3] == "compact":
    try:
        compact(place, idle=timedelta(0))
    except UsageError:
        print("error")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
BEGIN = json.dumps([RECORD])[:-2] + ', "x": '
LISTS = "[" + "[]," * 5_000_000 + "[]]"  # 15 MB, which take 400 MB as Python objects
CROWDED: dict[str, tuple[str, Callable[[], str]]] = {
    "index": (index_file.INDEX_NAME, lambda: '{"version": 5, "files": {"a": ' + LISTS + "}}"),
    "manifest": (f"compacted/{MANIFEST}", lambda: '{"batches": ' + LISTS + ', "leftovers": []}'),
    "manifest of nothing": (
        f"compacted/{MANIFEST}",
        lambda: (
            '{"batches": [' + ", ".join(['{"sources": [], "outputs": {}}'] * 400_000) + '], "leftovers": []}'
        ),
    ),
    "array": ("a.json", lambda: BEGIN + LISTS + "}]"),
    "long text": ("a.json", lambda: BEGIN + '"\U0001f600' + "a" * 50_000_000 + '"}]'),
    "long lines": ("20261122T205236-n-1-abcd.jsonl", lambda: (BEGIN[1:] + LISTS + "}\n") * 4),
}


@pytest.mark.parametrize("name", CROWDED)
def test_reading_and_compacting_take_bounded_memory(tmp_path: Path, child: Any, name: str) -> None:
    """Files that become twenty times as large when parsed take less than 200 MB."""
    path, content = CROWDED[name]
    for folder in ("warm", "place"):
        (tmp_path / folder / "compacted").mkdir(parents=True)
        (tmp_path / folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "place" / path).write_text(content(), encoding="utf-8")
    ran = child(WITHIN, str(tmp_path / "warm"), str(tmp_path / "place"), "compact")
    assert ran.stdout.splitlines()[:2] == ["['hello']"] * 2, ran
    assert int(ran.stdout.splitlines()[-1]) < 200 * 1024


def test_a_large_array_is_read(tmp_path: Path) -> None:
    """Records of an array that span two chunks are read once."""
    sent = [
        {
            **RECORD,
            "data": {
                "baseType": "MessageData",
                "baseData": {"message": f"{n} é\U0001f600" + "x" * (n % 997)},
            },
        }
        for n in range(3_000)
    ]
    for indent in (None, 2):
        (tmp_path / "sent.json").write_text(
            json.dumps(sent, indent=indent, ensure_ascii=False), encoding="utf-8"
        )
        for store in (DuckDBStore, PythonStore):
            table = Questions(store([tmp_path])).logs()
            assert sorted(row["message"] for row in table) == sorted(
                envelope["data"]["baseData"]["message"] for envelope in sent
            )
            assert not table.notes


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_a_directory_that_cannot_be_read_is_reported(tmp_path: Path, store: Any) -> None:
    """A subdirectory that cannot be listed is in the notes of each answer, even of an empty one."""
    (tmp_path / "a").mkdir()
    folder = os.open(tmp_path / "a", os.O_RDONLY)
    for _ in range(20):  # a path that is too long for any system call
        os.mkdir("d" * 250, dir_fd=folder)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    table = Questions(store([tmp_path])).errors()
    assert not table
    assert [note for note in table.notes if note.startswith("not read: ") and "too long" in note]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_a_directory_of_others_is_reported(tmp_path: Path, store: Any) -> None:
    """A directory without read permission is in the notes, also if it is the given one."""
    (tmp_path / "a").mkdir(mode=0)
    for place in (tmp_path, tmp_path / "a"):
        assert Questions(store([place])).errors().notes == (f"not read: {tmp_path / 'a'}: Permission denied",)


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("name", ["train.jsonl", "app.jsonl.bz2", "app.json.gz", "app.txt"])
def test_a_named_file_without_a_record_is_reported(tmp_path: Path, store: Any, name: str) -> None:
    """An unreadable file that was given by its path has a note, and one in a directory is ignored."""
    path = tmp_path / name
    path.write_bytes(
        gzip.compress(json.dumps(RECORD).encode())[:40] if name.endswith(".gz") else b"BZh9 hello\n"
    )
    (note,) = Questions(store([path])).errors().notes
    assert "could not be read" in note
    assert not Questions(store([tmp_path])).errors().notes
