"""The files that a compaction reads and writes, and the answers from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

import duckdb

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.query import sql
from amllog.insights.query.query import Query
from amllog.insights.stores.local import discovery, duckdb_views
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.compaction_cleanup import mark_begun

from ...conftest import RUN, failure, log, step, write  # isort: skip
from .conftest import OTHER, messages  # isort: skip

NOW = timedelta(0)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def answers(path: Path) -> list[object]:
    """Return the answers of all questions."""
    questions = connect(path)
    names = ("runs", "steps", "logs", "errors", "exceptions", "timeline")
    return [getattr(questions, name)() for name in names] + [messages(questions, parent_run_id="a b/c%é")]


def test_a_time_range_skips_row_groups(journal: Callable[..., Path]) -> None:
    """DuckDB reads the row groups of a compacted file that are in the time range of the question, and no others."""
    folder = journal(log("x")).parent
    compact(folder, idle=NOW)
    (file,) = (folder / discovery.COMPACTED_FOLDER).rglob("*.parquet")
    many = file.with_name("many.parquet")
    rows = "SELECT p.* REPLACE (p.timestamp + to_minutes(i) AS timestamp)"
    target = f"'{many}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
    query = Query(
        ("traces",), ("message",), since=_time("2026-11-22T10:30:00Z"), until=_time("2026-11-22T11:00:00Z")
    )
    times = sql.time_test(query, _time("2026-11-22T12:00:00Z"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({rows} FROM '{file}' p, range(20480) t(i) ORDER BY i) TO {target}")
        records = duckdb_views.records([], [many], times=times)
        (plan,) = connection.execute(f"EXPLAIN ANALYZE SELECT max(message) FROM ({records})").fetchall()
        assert connection.execute(f"SELECT count(*) FROM ({records})").fetchone() == (30,)
    if "Row Groups Scanned" in plan[1]:  # DuckDB 1 does not count them
        assert "Row Groups Scanned: 1 / 10" in plan[1]


def test_compacted_runs_have_the_same_answers(journal: Callable[..., Path]) -> None:
    """The answers are equal with and without the journal files, for any run id and for records without a run."""
    path = journal(
        log("plain", fold="1"),
        failure("no", "2026-11-22T10:00:01Z"),
        step("train", time="2026-11-22T10:00:02Z"),
        "torn\n",
    )
    journal(log("odd", 2, "2026-11-22T10:00:03Z", parent_run_id="a b/c%é"), name=OTHER)
    stock = {"message": "stock", "properties": None}
    journal(
        {"time": "2026-11-22T10:00:04Z", "data": {"baseType": "MessageData", "baseData": stock}},
        name="x.jsonl",
    )
    before = answers(path.parent)
    done = compact(path.parent, idle=NOW)
    assert (done.sources, done.outputs, done.written) == (3, 3, 0)
    assert answers(path.parent) == before
    for file in path.parent.glob("*.jsonl"):
        file.unlink()
    assert answers(path.parent) == before
    names = {file.parent.name for file in (path.parent / discovery.COMPACTED_FOLDER).rglob("*.parquet")}
    assert names == {
        f"parent_run_id={RUN}",
        "parent_run_id=a%20b%2Fc%25%C3%A9",
        "parent_run_id=__HIVE_DEFAULT_PARTITION__",
    }


def test_lines_after_a_compaction_are_read(journal: Callable[..., Path]) -> None:
    """A grown file is read itself, its former records count once, and it is compacted again."""
    path = journal(log("one"))
    compact(path.parent, idle=NOW)
    with path.open("a") as file:
        file.write(json.dumps(log("two")) + "\n")
    assert messages(connect(path.parent)) == ["one", "two"]
    assert compact(path.parent, idle=NOW).sources == 1
    assert messages(connect(path.parent)) == ["one", "two"]
    assert compact(path.parent, idle=NOW).sources == 0


def test_open_and_recent_files_are_not_compacted(journal: Callable[..., Path]) -> None:
    """A file that its writer has locked is skipped, and so is one that was written to recently."""
    fcntl = pytest.importorskip("fcntl")
    path = journal(log("one"))
    assert compact(path.parent)[:5] == (0, 0, 0, 0, 1)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert compact(path.parent, idle=NOW).written == 1
    calls: list[tuple[int, int]] = []
    assert compact(path.parent, idle=NOW, progress=lambda done, all_: calls.append((done, all_))).sources == 1
    assert calls == [(path.stat().st_size, path.stat().st_size)]


def test_compacted_files_are_plain_parquet(journal: Callable[..., Path]) -> None:
    """Other readers find the run as a partition, dimensions as JSON strings, and times in UTC."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = journal(log("one", fold="1"))
    compact(path.parent, idle=NOW)
    (row,) = parquet.read_table(path.parent / discovery.COMPACTED_FOLDER, partitioning="hive").to_pylist()
    assert (row["message"], row["parent_run_id"], json.loads(row["customDimensions"])["fold"]) == (
        "one",
        RUN,
        "1",
    )
    assert row["timestamp"].isoformat() == "2026-11-22T10:00:00+00:00"


def test_a_torn_manifest_loses_no_record(journal: Callable[..., Path]) -> None:
    """The journal files are read as if they were not compacted, also if a compacted file is missing."""
    path = journal(log("one"))
    compact(path.parent, idle=NOW)
    folder = path.parent / discovery.COMPACTED_FOLDER
    (folder / "_manifest.json").write_text("{")
    assert messages(connect(path.parent)) == ["one"]
    # A compaction does not replace the manifest, because journal files that it lists may be deleted.
    with pytest.raises(UsageError, match=r"_manifest\.json cannot be read"):
        compact(path.parent, idle=NOW)
    (folder / "_manifest.json").unlink()
    compact(path.parent, idle=NOW)
    for run_folder in filter(Path.is_dir, list(folder.iterdir())):
        shutil.rmtree(run_folder)
    assert messages(connect(path.parent)) == ["one"]


def test_a_second_compaction_is_rejected(journal: Callable[..., Path]) -> None:
    """A second compaction is rejected while the first one runs. Unfinished files of an earlier one are deleted."""
    path = journal(log("one"))
    folder = path.parent / discovery.COMPACTED_FOLDER
    (folder / "parent_run_id=x").mkdir(parents=True)
    torn = folder / "parent_run_id=x" / f"_{0:032x}.parquet"
    torn.write_bytes(b"PAR1, and no end")
    mark_begun(torn)

    def again(_done: int, _all: int) -> None:
        with pytest.raises(UsageError, match="another process is compacting"):
            compact(path.parent, idle=NOW)

    assert compact(path.parent, idle=NOW, progress=again).outputs == 1
    assert sorted(path.name for path in folder.rglob("_*")) == ["_lock", "_manifest.json"]
    assert messages(connect(path.parent)) == ["one"]


def test_a_very_long_run_id_is_not_compacted(journal: Callable[..., Path]) -> None:
    """The file of a very long run id is counted and read as it is, and the others are compacted."""
    path = journal(log("long", parent_run_id="é" * 50))
    journal(log("short"), name=OTHER)
    done = compact(path.parent, idle=NOW)
    assert (done.sources, done.outputs, done.too_long) == (1, 1, 1)
    assert sorted(messages(connect(path.parent))) == ["long", "short"]


def test_a_file_in_place_of_a_folder_is_an_error(journal: Callable[..., Path]) -> None:
    """The error names the path, and the journals are read."""
    path = journal(log("one"))
    (path.parent / discovery.COMPACTED_FOLDER).mkdir()
    (path.parent / discovery.COMPACTED_FOLDER / f"parent_run_id={RUN}").write_bytes(b"")
    with pytest.raises(UsageError, match=r"parent_run_id=.* is not a directory"):
        compact(path.parent, idle=NOW)
    assert messages(connect(path.parent)) == ["one"]


@pytest.mark.parametrize(
    "name",
    ["filename=1", "year=2026", "a=b", "time=1", "data=1", "b=x", "parent_run_id=zz", "message=x/timestamp=1", "=",
     "[x]", "[a-z]", "*", "**", "?", "a b", "o'k", 'a"b', "a\nb", "a{b,c}", "a%20b"],
)  # fmt: skip
def test_directories_of_any_name(tmp_path: Path, name: str) -> None:
    """A journal is read, compacted and read again in a directory of any name."""
    folder = tmp_path / name
    write(folder / "20261122T100000-node-1-abcdef.jsonl", log("hello"), log("other", parent_run_id="r/2 %=ü"))
    for _ in range(2):
        table = connect(str(folder)).logs()
        assert [(row["message"], row["parent_run_id"]) for row in table] == [
            ("hello", RUN),
            ("other", "r/2 %=ü"),
        ]
        assert table.notes == ()
        compact(folder, idle=timedelta(0))
    assert list((folder / "compacted").rglob("*.parquet"))
