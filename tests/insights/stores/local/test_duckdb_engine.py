"""The sandbox for KQL reaches only the tables of the service: no files, settings, other tables or commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.duckdb_engine import Engine

from .conftest import RECORD, SECRET  # isort: skip


def test_a_query_reads_no_file(kql_journal: Path) -> None:
    """A path in place of a table is an error in any part of a query, even the path of a journal."""
    path, own_file = kql_journal.parent / "private.json", next(kql_journal.iterdir())
    store = connect(str(kql_journal)).store
    for query in (
        f"['{path}'] | take 5",
        f"['file://{path}']",
        f"['{path.parent}/*.json']",
        f"let t = ['{path}']; t",
        f"print x = toscalar(['{path}'] | project word)",
        f"traces | where message !in (['{path}'] | project word)",
        f"traces | join (['{path}'] | extend message = word) on message",
        f"['{path}'] | getschema",
        f"['{own_file}']",
        "['http://127.0.0.1:9/x.json']",
        f"externaldata(word: string)[@'{path}']",
    ):
        with pytest.raises(UsageError) as raised:
            store.query(query)
        assert SECRET not in str(raised.value)
    assert [row["message"] for row in store.query("traces | project message")] == ["hello"]


def test_the_database_of_a_query_is_locked(kql_journal: Path) -> None:
    """The database for KQL opens no other file and keeps its configuration, for any SQL."""
    engine = Engine()
    engine.run_kql("print x = 1", "SELECT 1 AS x", files=[next(kql_journal.iterdir())])
    assert engine._sandbox is not None
    connection = engine._sandbox._database.connection
    for statement in (
        f"SELECT * FROM read_text('{kql_journal.parent / 'private.json'}')",
        f"ATTACH '{kql_journal.parent / 'made.duckdb'}' AS made",
        f"COPY (SELECT 1) TO '{kql_journal.parent / 'made.csv'}'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "LOAD httpfs",
        "INSTALL httpfs",
    ):
        with pytest.raises(engine._sandbox._database.error):
            connection.execute(statement)
    assert sorted(path.name for path in kql_journal.parent.iterdir()) == ["journal", "private.json"]


def test_a_file_name_with_wildcards_is_that_file(tmp_path: Path) -> None:
    """`[`, `*` and `?` in the names of directories and files are plain characters."""
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    (folder / "20261122T205235-n-1-ab*.jsonl").write_text(json.dumps(RECORD) + "\n")
    other = {**RECORD, "data": {"baseType": "MessageData", "baseData": {"message": "other"}}}
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(other) + "\n")
    store = connect(str(folder)).store
    answer = store.query("traces | project message | order by message asc")
    assert [row["message"] for row in answer] == ["hello", "other"]


def test_cached_records_are_kept_until_the_key_changes() -> None:
    """Queries read the rows in memory, and a new key reads them again."""
    engine = Engine()
    for key, value in (("a", 1), ("a", 1), ("b", 3)):
        records = engine.cache_records(f"SELECT {value} AS x", key)
        assert engine.run_kql("print x = 1", records).rows == [(1,)]
        sandbox = engine._sandbox
        assert sandbox is not None
        connection = sandbox._database.connection
        assert connection.execute(records).fetchall() == [(value,)]
