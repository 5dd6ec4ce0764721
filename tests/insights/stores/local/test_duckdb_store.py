"""The store over journals with DuckDB: torn lines, growing files, copies and limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.query.query import Query
from amllog.insights.reports.follow import Watch
from amllog.insights.stores.local import index_entries, index_file
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import RUN, log, write  # isort: skip
from .conftest import OTHER, messages  # isort: skip

NOW = timedelta(0)


def test_torn_lines_are_counted_and_left_out(journal: Callable[..., Path]) -> None:
    """Torn lines, invalid UTF-8 and other JSON are skipped, and a note has their number."""
    path = journal(log("one"), '{"time":"2026-11-22T10:00:00Z","da', log("glued"), "[]\n", log("two"))
    with path.open("ab") as file:
        file.write(b'\xff\xfe\n\n{"time":')
    table = connect(path.parent).logs()
    assert [row["message"] for row in table] == ["one", "two"]
    reasons = f"1 torn by a kill, or being written right now, and 3 damaged: {path}"
    assert table.notes == (f"4 lines could not be read and left out ({reasons})",)


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_impossible_timestamps_are_skipped(store: Callable[..., Any], journal: Callable[..., Path]) -> None:
    """A line with an impossible timestamp is counted as unreadable, and no query fails."""
    times = ("12026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "-0005-01-01T00:00:00Z", "infinity", "-infinity",
             "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+09:00", "0001-01-01T00:00:00Z", "epoch", "")  # fmt: skip
    near = (
        log("near", time="0001-01-02T00:00:00+14:00"),
        log("far", time="9999-12-30T23:59:59.999999-14:00"),
    )
    insights = Insights(
        store([journal(*(log("odd", time=time) for time in times), log("one"), *near).parent])
    )
    assert messages(insights) == ["near", "one", "far"]
    assert insights.logs().notes[0].startswith(f"{len(times)} lines could not be read")
    watch = Watch(insights, RUN, None, {})
    assert (len(watch.poll()), watch.poll(), insights.story(RUN).state) == (3, [], "open")


def test_a_very_long_line_affects_one_file_only(journal: Callable[..., Path]) -> None:
    """A line of 17 MB makes its file unreadable, and the others are read."""
    path = journal(log("fine"))
    journal('{"time":"' + "x" * 17_000_000 + '"}\n' * 2, name=OTHER)
    assert messages(connect(path.parent)) == ["fine"]


def test_a_file_that_cannot_be_read_is_tried_again(journal: Callable[..., Path]) -> None:
    """An unreadable file is named in a note. It is read once it can be, even with the same size and time."""
    path = journal(log("fine"))
    other = journal(log("later"), name=OTHER)
    status = other.stat()
    entry = index_entries.IndexEntry(status.st_size, index_entries.UNREADABLE, 0, (), (), "")
    (path.parent / index_file.INDEX_NAME).write_text(
        json.dumps({"version": index_file.VERSION, "files": {other.name: entry}})
    )
    assert messages(connect(path.parent)) == ["fine", "later"]
    # Reading a directory fails for every user.
    (path.parent / "20261123T100000-node-3-fedcbb.jsonl" / "folder").mkdir(parents=True)
    table = connect(path.parent).logs()
    assert ([row["message"] for row in table], len(table.notes)) == (["fine", "later"], 1)
    assert "node-3-fedcbb" in table.notes[0]


def test_a_file_that_grows_is_read_again(journal: Callable[..., Path]) -> None:
    """A file is read again after it has grown, and an incomplete last line counts once it is complete."""
    path = journal(log("one"))
    questions = connect(path.parent)
    assert messages(questions) == ["one"]
    second = json.dumps(log("two")) + "\n"
    for part, expected in ((second[:50], ["one"]), (second[50:], ["one", "two"])):
        with path.open("a") as file:
            file.write(part)
        assert messages(questions) == expected
    journal(log("three"), name=OTHER)
    assert messages(questions) == ["one", "two", "three"]


def test_a_record_counts_once(journal: Callable[..., Path], tmp_path: Path) -> None:
    """A record counts once if it was sent twice, is in two files, or is in a file that was downloaded twice."""
    twice, alone = log("twice"), log("alone")
    path = journal(twice, alone, twice)
    journal(twice, name=OTHER)
    copy = tmp_path / "j" / "download" / "logs" / "amllog" / path.name
    write(copy, twice)
    foreign = {
        "time": "2026-11-22T11:00:00Z",
        "data": {"baseType": "MessageData", "baseData": {"message": "stock"}},
    }
    journal(foreign, foreign, name="20261124T100000-node-1-aaaaaa.jsonl")
    assert messages(connect(tmp_path / "j")) == ["twice", "alone", "stock", "stock"]


@pytest.mark.parametrize("by", ["step_id", "step_name"])
def test_a_question_about_a_step_reads_its_files_only(journal: Callable[..., Path], by: str) -> None:
    """A torn line in the file of another step of the same run is not in the notes."""
    path = journal(log("mine", **{by: "mine"}))
    journal(log("theirs", **{by: "theirs"}), "torn\n", name=OTHER)
    questions = connect(path.parent)
    assert [len(questions.logs(RUN, **{by: step}).notes) for step in ("mine", "theirs")] == [0, 1]
    assert messages(questions, **{by: "mine"}) == ["mine"]


def test_an_empty_directory_has_no_rows(tmp_path: Path) -> None:
    """An empty directory is not an error. A missing one is, and the error names it."""
    assert len(connect(tmp_path).timeline()) == 0
    with pytest.raises(UsageError, match=r"no such directory or file: .*nowhere"):
        connect(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="AMLLOG_DIR"):
        connect(environ={})


def test_the_journals_of_setup_are_found(journal: Callable[..., Path], tmp_path: Path) -> None:
    """AMLLOG_DIR has precedence over the default directories, and a single file is possible."""
    path = journal(log("one"))
    assert messages(connect(environ={"AMLLOG_DIR": str(path.parent)})) == ["one"]
    write(tmp_path / "logs" / "amllog" / OTHER, log("in a job"))
    assert messages(connect(environ={})) == ["in a job"]
    assert messages(connect(path)) == ["one"]


def test_a_limit_returns_the_first_rows(journal: Callable[..., Path]) -> None:
    """With a limit, only the necessary time range is read, and the rows are the first ones of all."""
    for number in range(6):
        times = [f"2026-11-22T1{number}:00:{second:02d}Z" for second in range(10)]
        lines = [log(f"{number}.{second}", second % 4, time) for second, time in enumerate(times)]
        journal(*lines, name=f"20261122T1{number}0000-node-{number}-abcdef.jsonl")
    questions = connect(journal(name="20261122T170000-node-1-abcdef.jsonl").parent)
    everything = messages(questions)
    for limit in (1, 15, 59, 60, 100):
        assert messages(questions, limit=limit) == everything[:limit]
        assert messages(questions, limit=limit, newest_first=True) == everything[::-1][:limit]
    errors = messages(questions, level="ERROR")
    assert len(errors) == 12 and messages(questions, level="ERROR", limit=5) == errors[:5]
    assert messages(questions, limit=3, since="2026-11-22T11:00:05Z") == ["1.5", "1.6", "1.7"]
    assert messages(questions, limit=3, until="2026-11-22T10:00:02Z") == ["0.0", "0.1"]


def test_queries_are_values() -> None:
    """A query is hashable and immutable."""
    assert len({Query(("traces",), ("message",)), Query(("traces",), ("message",))}) == 1
