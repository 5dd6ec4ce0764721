"""`connect()` over journals. Its arguments for the service are tested with the scope."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect

from .conftest import log, write  # isort: skip

RESOURCE = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"


def test_paths(journal: Callable[..., Path], tmp_path: Path) -> None:
    """A path is a journal directory, a folder above it, or one file."""
    path = journal(log("x"))
    other = write(tmp_path / "runs" / "r" / "logs" / "amllog" / path.name, log("y"))
    assert [row["message"] for row in connect(path).logs()] == ["x"]
    assert [row["message"] for row in connect(path.parent).logs()] == ["x"]
    assert [row["message"] for row in connect(tmp_path / "runs").logs()] == ["y"]
    assert [row["message"] for row in connect(path, other).logs()] == ["x", "y"]


def test_default_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path, the journals are in AMLLOG_DIR, else in the default directories of `setup()`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no journal here \(looked for .*\): set AMLLOG_DIR"):
        connect(environ={})
    write(tmp_path / ".amllog" / "20261122T100000-n-1-ab.jsonl", log("here"))
    write(tmp_path / "elsewhere" / "20261122T100000-n-1-ab.jsonl", log("there"))
    assert [row["message"] for row in connect(environ={}).logs()] == ["here"]
    assert [row["message"] for row in connect(environ={"AMLLOG_DIR": "elsewhere"}).logs()] == ["there"]
    with pytest.raises(UsageError, match="no such directory or file: nowhere"):
        connect("nowhere", ".amllog", environ={})


def test_the_store_needs_no_package(journal: Callable[..., Path]) -> None:
    """Without DuckDB, the store in Python answers the questions."""
    store = connect(journal(log("x"))).store
    assert type(store).__name__ == ("DuckDBStore" if importlib.util.find_spec("duckdb") else "PythonStore")


def test_a_resource_id_gives_links(journal: Callable[..., Path]) -> None:
    """Over journals, AMLLOG_RESOURCE_ID selects the resource of links only."""
    insights = connect(journal(log("x")), environ={"AMLLOG_RESOURCE_ID": RESOURCE})
    assert insights.portal is not None and insights.portal.resource.name == "ai"
    assert len(insights.logs()) == 1
    with pytest.raises(UsageError, match="resource_id='x'"):
        connect(journal(log("x")), environ={"AMLLOG_RESOURCE_ID": "x"})
