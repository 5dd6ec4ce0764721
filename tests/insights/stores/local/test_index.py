"""The index of the content of files, which is a cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from amllog.insights import connect
from amllog.insights.stores.local import discovery, index, index_entries, index_file

from ...conftest import RUN, append, log, write  # isort: skip
from .conftest import OTHER, messages  # isort: skip


def test_a_question_about_a_run_reads_its_files_only(journal: Callable[..., Path]) -> None:
    """A torn line in the file of another run is not in the notes, and that file is not read."""
    path = journal(log("mine"))
    other = journal(log("theirs", 3, parent_run_id="other"), "torn\n", name=OTHER)
    questions = connect(path.parent)
    assert (messages(questions, parent_run_id=RUN), questions.logs(RUN).notes) == (["mine"], ())
    assert len(questions.logs("other").notes) == 1
    known = index.Index(questions.store._engine).entries(discovery.find_files([path.parent]))  # type: ignore[attr-defined]  # a local store
    assert {part.parent_run_id for part in known[other].groups} == {"other"}


def test_the_index_is_only_a_cache(journal: Callable[..., Path]) -> None:
    """A missing, torn or wrong index, or one of another version, is created again."""
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
    """Return the number of records by run that the index has for a file after a query."""
    connect(path.parent).logs()
    parts = json.loads((path.parent / index_file.INDEX_NAME).read_text())["files"][path.name][3]
    known = [index_entries.RecordGroup(*part) for part in parts]
    return {part.parent_run_id: part.records for part in known}


def set_indexed_run(path: Path, **fingerprint: str) -> None:
    """Change the run of a file in the index."""
    cache = path.parent / index_file.INDEX_NAME
    content = json.loads(cache.read_text())
    entry = content["files"][path.name]
    entry[3][0][0], entry[5] = "from the index", fingerprint.get("fingerprint", entry[5])
    cache.write_text(json.dumps(content))


def test_only_appended_lines_are_read(journal: Callable[..., Path]) -> None:
    """The entry of the former content is kept while the file begins with the same bytes."""
    path = journal(log("one"), log("two", parent_run_id="other"))
    assert runs_known(path) == {RUN: 1, "other": 1}
    set_indexed_run(path)
    append(path, log("three"), log("four"))
    assert runs_known(path).get("from the index") == 1
    assert sum(runs_known(path).values()) == 4
    set_indexed_run(path, fingerprint="00")
    append(path, log("five"))
    assert runs_known(path) == {RUN: 4, "other": 1}
    assert messages(connect(path.parent), parent_run_id=RUN) == ["one", "three", "four", "five"]


def test_a_file_with_another_start_is_read_again(journal: Callable[..., Path]) -> None:
    """A longer file with other content is read again, and so is one with a torn last line."""
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


def test_a_repeated_record_counts_once(journal: Callable[..., Path]) -> None:
    """A record that is appended again counts once. A very long line has the same effect as without an index."""
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


def test_a_read_only_folder_is_read(journal: Callable[..., Path]) -> None:
    """The index is created for each process. A directory is in its place here."""
    path = journal(log("one"))
    (path.parent / index_file.INDEX_NAME).mkdir()
    assert messages(connect(path.parent)) == ["one"]
