"""Free KQL reaches the service's tables only: no files, no settings, no other tables, no commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.engine import Engine

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="duckdb-kql needs Python 3.11")
RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": {"step_id": "s1"}}},
}
SECRET = "TOPSECRET"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal directory with one record, beside a private file."""
    (tmp_path / "private.json").write_text(json.dumps({"word": SECRET}) + "\n")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder


def test_a_query_reads_no_file(journal: Path) -> None:
    """A path as a table's name, in any place of a query, is an error, also if it is a journal's own path."""
    path, own = journal.parent / "private.json", next(journal.iterdir())
    store = connect(str(journal)).store
    for query in (
        f"['{path}'] | take 5",
        f"['file://{path}']",
        f"['{path.parent}/*.json']",
        f"let t = ['{path}']; t",
        f"print x = toscalar(['{path}'] | project word)",
        f"traces | where message !in (['{path}'] | project word)",
        f"traces | join (['{path}'] | extend message = word) on message",
        f"['{path}'] | getschema",
        f"['{own}']",
        "['http://127.0.0.1:9/x.json']",
        f"externaldata(word: string)[@'{path}']",
    ):
        with pytest.raises(UsageError) as raised:
            store.query(query)
        assert SECRET not in str(raised.value)
    assert [row["message"] for row in store.query("traces | project message")] == ["hello"]


def test_a_query_reads_no_table_of_the_engine(journal: Path) -> None:
    """DuckDB's own tables, other databases and Python's variables are unknown tables; the error names the tables."""
    store = connect(str(journal)).store
    for name in ("sqlite_master", "duckdb_views", "pg_class", "pragma_database_list", "records", "os"):
        with pytest.raises(
            UsageError, match=f"Table with name {name} does not exist; the tables are traces, "
        ):
            store.query(name)
    for query in (
        "database('held').records",
        "database('memory').traces",
        "let sqlite_master = sqlite_master; sqlite_master",
    ):
        with pytest.raises(UsageError, match="does not exist"):
            store.query(query)


def test_control_commands_are_rejected(journal: Path) -> None:
    """A query creates no database file and no table, also after a comment."""
    store, made = connect(str(journal)).store, journal.parent / "made.duckdb"
    for query in (
        f".create database X persist (@'{made}')",
        f"// comment\n .create database X persist (@'{made}') ifnotexists",
        ".set T <| print x = 1",
        ".show databases",
    ):
        with pytest.raises(UsageError, match="control commands"):
            store.query(query)
    assert not made.exists()
    with pytest.raises(UsageError, match="NUL"):
        store.query("print x = '\0 9\0'")


def test_the_database_of_a_query_is_locked(journal: Path) -> None:
    """The database that runs free KQL opens no other file and keeps its configuration, whatever SQL it is given."""
    engine = Engine()
    engine.run_kql("print x = 1", "SELECT 1 AS x", files=[next(journal.iterdir())])
    assert engine._sandbox is not None
    connection = engine._sandbox._database.connection
    for statement in (
        f"SELECT * FROM read_text('{journal.parent / 'private.json'}')",
        f"ATTACH '{journal.parent / 'made.duckdb'}' AS made",
        f"COPY (SELECT 1) TO '{journal.parent / 'made.csv'}'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "LOAD httpfs",
        "INSTALL httpfs",
    ):
        with pytest.raises(engine._sandbox._database.error):
            connection.execute(statement)
    assert sorted(path.name for path in journal.parent.iterdir()) == ["journal", "private.json"]


def test_a_file_name_with_wildcards_is_that_file(tmp_path: Path) -> None:
    """`[`, `*` and `?` in the names of directories and files stand for themselves."""
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    (folder / "20261122T205235-n-1-ab*.jsonl").write_text(json.dumps(RECORD) + "\n")
    other = {**RECORD, "data": {"baseType": "MessageData", "baseData": {"message": "other"}}}
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(other) + "\n")
    store = connect(str(folder)).store
    found = store.query("traces | project message | order by message asc")
    assert [row["message"] for row in found] == ["hello", "other"]
