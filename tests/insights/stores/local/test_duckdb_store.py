"""The local store: whatever the directories hold, also while it is written; and old runs compacted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights import Questions, connect
from amllog.insights.insights import Insights
from amllog.insights.query.query import Query
from amllog.insights.reports.follow import Watch
from amllog.insights.stores.local import discovery, index, index_entries, index_file
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.compaction_cleanup import mark_begun
from amllog.insights.stores.local.duckdb_kql import adapt_kql
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore
from amllog.insights.stores.store import Store

from ...conftest import RUN, failure, log, step, write  # isort: skip

OTHER = "20261123T100000-node-2-fedcba.jsonl"
NOW = timedelta(0)


def messages(questions: Questions, **narrow: Any) -> list[str]:
    """What the logs say."""
    return [row["message"] for row in questions.logs(**narrow)]


def test_torn_lines_are_counted_and_left_out(journal: Callable[..., Path]) -> None:
    """Torn, glued, not UTF-8, no envelope: the others are read, and the answer says how many were not."""
    path = journal(log("one"), '{"time":"2026-11-22T10:00:00Z","da', log("glued"), "[]\n", log("two"))
    with path.open("ab") as file:
        file.write(b'\xff\xfe\n\n{"time":')
    found = connect(path.parent).logs()
    assert [row["message"] for row in found] == ["one", "two"]
    assert found.notes == (
        "4 lines could not be read and left out (torn by a kill, or being written right now)",
    )


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_times_that_no_calendar_has(store: Callable[..., Any], journal: Callable[..., Path]) -> None:
    """One such line, of a clock or an SDK gone wrong, is left out and counted; it does not end every question."""
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


def test_a_line_beyond_all_limits_leaves_the_other_files_readable(journal: Callable[..., Path]) -> None:
    """Seventeen megabytes in one line make one file unreadable, not all."""
    path = journal(log("fine"))
    journal('{"time":"' + "x" * 17_000_000 + '"}\n' * 2, name=OTHER)
    assert messages(connect(path.parent)) == ["fine"]


def test_a_file_that_cannot_be_read_is_tried_again(journal: Callable[..., Path]) -> None:
    """It is named, and read as soon as it can be, though neither its size nor its time has changed."""
    path = journal(log("fine"))
    other = journal(log("later"), name=OTHER)
    about = other.stat()
    entry = index_entries.IndexEntry(about.st_size, index_entries.UNREADABLE, 0, (), (), "")
    (path.parent / index_file.INDEX_NAME).write_text(
        json.dumps({"version": index_file.VERSION, "files": {other.name: entry}})
    )
    assert messages(connect(path.parent)) == ["fine", "later"]
    (path.parent / "20261123T100000-node-3-fedcbb.jsonl" / "folder").mkdir(
        parents=True
    )  # fails, whoever asks
    found = connect(path.parent).logs()
    assert ([row["message"] for row in found], len(found.notes)) == (["fine", "later"], 1)
    assert "node-3-fedcbb" in found.notes[0]


def test_a_file_that_grows_is_read_again(journal: Callable[..., Path]) -> None:
    """Between two questions; the half line at its end is there once it is whole."""
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
    """Sent twice, in two files; and a file that was downloaded twice, once before it was complete."""
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


def test_a_question_about_a_run_reads_its_files_only(journal: Callable[..., Path]) -> None:
    """What cannot be read in another run's file is none of its business; neither is the file."""
    path = journal(log("mine"))
    other = journal(log("theirs", 3, parent_run_id="other"), "torn\n", name=OTHER)
    questions = connect(path.parent)
    assert (messages(questions, parent_run_id=RUN), questions.logs(RUN).notes) == (["mine"], ())
    assert len(questions.logs("other").notes) == 1
    known = index.Index(questions.store._engine).entries(discovery.find_files([path.parent]))  # type: ignore[attr-defined]  # a local store
    assert {part.parent_run_id for part in known[other].groups} == {"other"}


@pytest.mark.parametrize("by", ["step_id", "step_name"])
def test_a_question_about_a_step_reads_its_files_only(journal: Callable[..., Path], by: str) -> None:
    """A torn line in the file of another step of the same run is not told of."""
    path = journal(log("mine", **{by: "mine"}))
    journal(log("theirs", **{by: "theirs"}), "torn\n", name=OTHER)
    questions = connect(path.parent)
    assert [len(questions.logs(RUN, **{by: step}).notes) for step in ("mine", "theirs")] == [0, 1]
    assert messages(questions, **{by: "mine"}) == ["mine"]


def test_the_index_is_only_a_cache(journal: Callable[..., Path]) -> None:
    """Missing, torn, of another version, wrong about a file: it is made anew."""
    path = journal(log("one"))
    cache = path.parent / index_file.INDEX_NAME
    assert messages(connect(path.parent)) == ["one"]
    entry = json.loads(cache.read_text())
    for text in (
        "",
        "{",
        "[]",
        '{"version":0,"files":{}}',
        f'{{"version":{index_file.VERSION},"files":{{"x":[1]}}}}',
        json.dumps(entry),
    ):
        cache.write_text(text)
        path.write_text(json.dumps(log("of another run", parent_run_id="new")) + "\n")
        assert messages(connect(path.parent), parent_run_id="new") == ["of another run"]
        path.write_text(json.dumps(log("one")) + "\n")
        assert messages(connect(path.parent), parent_run_id="new") == []


def runs_known(path: Path) -> dict[str, int]:
    """How many records of which run the index says that a file has, after a question."""
    connect(path.parent).logs()
    parts = json.loads((path.parent / index_file.INDEX_NAME).read_text())["files"][path.name][3]
    known = [index_entries.RecordGroup(*part) for part in parts]
    return {part.parent_run_id: part.records for part in known}


def crafted(path: Path, **fingerprint: str) -> None:
    """Let the index say that what it has read of a file is of another run."""
    cache = path.parent / index_file.INDEX_NAME
    found = json.loads(cache.read_text())
    entry = found["files"][path.name]
    entry[3][0][0], entry[5] = "crafted", fingerprint.get("fingerprint", entry[5])
    cache.write_text(json.dumps(found))


def append(path: Path, *lines: Any) -> None:
    """More at the end of a file."""
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_of_a_file_that_grows_only_what_is_new_is_read(journal: Callable[..., Path]) -> None:
    """What the index knows of its beginning is taken from it, as long as the file begins as it did."""
    path = journal(log("one"), log("two", parent_run_id="other"))
    assert runs_known(path) == {RUN: 1, "other": 1}
    crafted(path)
    append(path, log("three"), log("four"))
    assert runs_known(path).get("crafted") == 1
    assert sum(runs_known(path).values()) == 4
    crafted(path, fingerprint="00")
    append(path, log("five"))
    assert runs_known(path) == {RUN: 4, "other": 1}
    assert messages(connect(path.parent), parent_run_id=RUN) == ["one", "three", "four", "five"]


def test_a_file_that_begins_otherwise_is_read_anew(journal: Callable[..., Path]) -> None:
    """Longer than it was, but not what it was; and one whose last line was torn."""
    path = journal(log("one", parent_run_id="first"))
    assert runs_known(path) == {"first": 1}
    write(path, log("two", parent_run_id="other"), log("three", parent_run_id="other"))
    assert runs_known(path) == {"other": 2}
    with path.open("a") as file:
        file.write('{"time":')
    assert runs_known(path) == {"other": 2}
    append(path, log("glued"))
    append(path, log("four"))
    assert runs_known(path) == {"other": 2, RUN: 1}
    assert "1 line could not" in connect(path.parent).logs().notes[0]


def test_a_record_that_comes_again_counts_once(journal: Callable[..., Path]) -> None:
    """Also at the end of a file that the index knew before; a line that is too long does what it does without an
    index."""
    line = log("one")
    path = journal(line)
    assert messages(connect(path.parent)) == ["one"]
    append(path, line, log("two"))
    assert messages(connect(path.parent)) == ["one", "two"]
    journal(log("of another file"), name=OTHER)
    assert len(connect(path.parent).logs()) == 3
    append(path, *[{"time": "x" * 17_000_000}] * 2)
    read_on = messages(connect(path.parent))
    (path.parent / index_file.INDEX_NAME).unlink()
    assert read_on == messages(connect(path.parent))
    assert "of another file" in read_on


def test_a_folder_that_cannot_be_written_is_read(journal: Callable[..., Path]) -> None:
    """The index is then made each time: here a folder stands where the file should."""
    path = journal(log("one"))
    (path.parent / index_file.INDEX_NAME).mkdir()
    assert messages(connect(path.parent)) == ["one"]


def test_no_files_is_no_error(tmp_path: Path) -> None:
    """An empty directory has no rows; a missing one is an error that names it."""
    assert len(connect(tmp_path).timeline()) == 0
    with pytest.raises(UsageError, match=r"no such directory or file: .*nowhere"):
        connect(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="AMLLOG_DIR"):
        connect(environ={})


def test_where_setup_puts_journals_is_found(journal: Callable[..., Path], tmp_path: Path) -> None:
    """AMLLOG_DIR first, then the usual folders below the working directory; a single file will do too."""
    path = journal(log("one"))
    assert messages(connect(environ={"AMLLOG_DIR": str(path.parent)})) == ["one"]
    write(tmp_path / "logs" / "amllog" / OTHER, log("in a job"))
    assert messages(connect(environ={})) == ["in a job"]
    assert messages(connect(path)) == ["one"]


def test_the_first_lines_are_those_of_the_whole(journal: Callable[..., Path]) -> None:
    """With a limit, only the stretch of time is read in which they must lie: the same rows, from either end."""
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


def test_free_kql(journal: Callable[..., Path]) -> None:
    """Microsoft's own queries, over both names of the tables; what is wrong is said."""
    pytest.importorskip("duckdb_kql")
    path = journal(log("a"), log("b\x85c", 3), failure("no"), step("train"), "torn\n")
    store: Store = connect(path.parent).store
    found = store.query("traces | summarize n = count() by severityLevel | order by severityLevel asc")
    assert (found.to_dicts(), len(found.notes)) == (
        [{"severityLevel": 1, "n": 1}, {"severityLevel": 3, "n": 1}],
        1,
    )
    assert store.query('AppTraces | where Message == "b\\u0085c" | count').value == 1
    assert store.query("union * | count").value == 4
    unsupported = "traces | evaluate bag_unpack(customDimensions)"
    for wrong in ("traces | wherex", "nothing | take 1", "traces | where nothing == 1", unsupported):
        with pytest.raises(UsageError, match="cannot answer this KQL"):
            store.query(wrong)


@pytest.mark.parametrize(
    ("kql", "expected"),
    [
        (r'"\u0041\\u0041"', r'"A\\u0041"'),
        (r'@"\u0041"', r'@"\u0041"'),
        (r"'\u0041' // \u0041", r"'A' // \u0041"),
    ],
)
def test_escapes_are_decoded_in_plain_literals_only(kql: str, expected: str) -> None:
    """Not in verbatim ones, nor in comments, nor behind a backslash."""
    assert adapt_kql(kql) == expected


def answers(path: Path) -> list[object]:
    """Every question's answer."""
    questions = connect(path)
    names = ("runs", "steps", "logs", "errors", "exceptions", "timeline")
    return [getattr(questions, name)() for name in names] + [messages(questions, parent_run_id="a b/c%é")]


def test_compacted_runs_answer_the_same(journal: Callable[..., Path]) -> None:
    """With the journal files and without; a run id with odd characters, and records of no run."""
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


def test_what_comes_after_compaction_counts_too(journal: Callable[..., Path]) -> None:
    """A file that grew is read itself, what it had before counts once; then it is compacted anew."""
    path = journal(log("one"))
    compact(path.parent, idle=NOW)
    with path.open("a") as file:
        file.write(json.dumps(log("two")) + "\n")
    assert messages(connect(path.parent)) == ["one", "two"]
    assert compact(path.parent, idle=NOW).sources == 1
    assert messages(connect(path.parent)) == ["one", "two"]
    assert compact(path.parent, idle=NOW).sources == 0


def test_what_is_being_written_is_left_alone(journal: Callable[..., Path]) -> None:
    """A file that its writer holds, and one that was written to a moment ago."""
    fcntl = pytest.importorskip("fcntl")
    path = journal(log("one"))
    assert compact(path.parent)[:5] == (0, 0, 0, 0, 1)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert compact(path.parent, idle=NOW).written == 1
    told: list[tuple[int, int]] = []
    assert compact(path.parent, idle=NOW, progress=lambda done, all_: told.append((done, all_))).sources == 1
    assert told == [(path.stat().st_size, path.stat().st_size)]


def test_compacted_files_are_plain_parquet(journal: Callable[..., Path]) -> None:
    """Another reader finds the run as a partition, dimensions as JSON text, times as times."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = journal(log("one", fold="1"))
    compact(path.parent, idle=NOW)
    (row,) = parquet.read_table(path.parent / discovery.COMPACTED_FOLDER, partitioning="hive").to_pylist()
    assert (row["message"], row["parent_run_id"], json.loads(row["customDimensions"])["fold"]) == (
        "one",
        RUN,
        "1",
    )
    assert row["timestamp"].isoformat() == "2026-11-22T10:00:00"


def test_a_manifest_that_is_torn_loses_nothing(journal: Callable[..., Path]) -> None:
    """The journal files are then read, as if nothing had been compacted; also where a compacted file is gone."""
    path = journal(log("one"))
    compact(path.parent, idle=NOW)
    folder = path.parent / discovery.COMPACTED_FOLDER
    (folder / "_manifest.json").write_text("{")
    assert messages(connect(path.parent)) == ["one"]
    with pytest.raises(
        UsageError, match=r"_manifest\.json cannot be read"
    ):  # it may stand for journals that are gone
        compact(path.parent, idle=NOW)
    (folder / "_manifest.json").unlink()
    compact(path.parent, idle=NOW)
    for one in filter(Path.is_dir, list(folder.iterdir())):
        shutil.rmtree(one)
    assert messages(connect(path.parent)) == ["one"]


def test_questions_are_kept_whole() -> None:
    """A query is a value: it can be a key, and cannot be changed."""
    assert len({Query(("traces",), ("message",)), Query(("traces",), ("message",))}) == 1


@pytest.mark.parametrize(
    "narrow",
    [
        {}, {"since": "2026-11-22T10:00:01Z"}, {"until": "2026-11-22T10:00:02Z"}, {"until": "2026-11-22T10:00:01Z"},
        {"step_name": "b"}, {"parent_run_id": "r2"}, {"since": "2026-11-22T10:00:03Z"}, {"level": "ERROR"},
        {"where": {"k": "v"}}, {"since": "2026-11-22T10:00:01Z", "until": "2026-11-22T10:00:03Z", "step_id": "s1"},
    ],
    ids=str,
)  # fmt: skip
def test_names_are_known_from_the_index(journal: Callable[..., Path], narrow: dict[str, Any]) -> None:
    """`last` is the same run whether the index tells it, or a record's time or level had to be read."""
    runs = [("r2", "a"), ("r1", "b"), ("r2", "a"), ("r1", "a"), ("", "b")]
    lines = [
        log(f"{n}", 3 if n == 2 else 1, f"2026-11-22T10:00:0{n}Z", parent_run_id=run, step_id=f"s{n % 2}",
            step_name=name, **({"k": "v"} if n == 1 else {}))
        for n, (run, name) in enumerate(runs)
    ]  # fmt: skip
    path = journal(*lines)
    both = [Insights(store([path.parent])) for store in (DuckDBStore, PythonStore)]
    names = ("last", "last~1", "r", "s0", "all")
    told, plain = ([outcome(one, name, narrow) for name in names] for one in both)
    assert told == plain


def outcome(insights: Insights, name: str, narrow: dict[str, Any]) -> str:
    """The run's id, or what is said in its place."""
    try:
        return insights.named(name, **narrow)
    except UsageError as error:
        return str(error)


def test_a_name_reads_no_record(journal: Callable[..., Path]) -> None:
    """Where the index knows the files, only what is asked of the run is read: here its lines are gone, of one size."""
    path = journal(log("x"), log("y", parent_run_id="other", time="2026-11-23T10:00:00Z"))
    insights = connect(path.parent)
    assert insights.named("last") == "other"
    status = path.stat()
    path.write_bytes(b" " * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert connect(path.parent).named(RUN[:3]) == RUN
    assert len(insights.logs("other")) == 0


def test_one_compaction_at_a_time(journal: Callable[..., Path]) -> None:
    """What another one left unfinished is removed, also where it is torn; while it goes on, nobody else compacts."""
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
    assert sorted(one.name for one in folder.rglob("_*")) == ["_lock", "_manifest.json"]
    assert messages(connect(path.parent)) == ["one"]


def test_a_run_whose_id_is_too_long_stays_as_lines(journal: Callable[..., Path]) -> None:
    """A folder's name cannot take it: its file is told and read as it is, the others are compacted."""
    path = journal(log("long", parent_run_id="é" * 50))
    journal(log("short"), name=OTHER)
    done = compact(path.parent, idle=NOW)
    assert (done.sources, done.outputs, done.too_long) == (1, 1, 1)
    assert sorted(messages(connect(path.parent))) == ["long", "short"]


def test_what_cannot_be_written_is_told(journal: Callable[..., Path]) -> None:
    """A file where a run's folder should be, say: the journals are read."""
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
    """A journal is read, compacted and read again, whatever its directory is called."""
    folder = tmp_path / name
    write(folder / "20261122T100000-node-1-abcdef.jsonl", log("hello"), log("other", parent_run_id="r/2 %=ü"))
    for _ in range(2):
        found = connect(str(folder)).logs()
        assert [(row["message"], row["parent_run_id"]) for row in found] == [
            ("hello", RUN),
            ("other", "r/2 %=ü"),
        ]
        assert found.notes == ()
        compact(folder, idle=timedelta(0))
    assert list((folder / "compacted").rglob("*.parquet"))
