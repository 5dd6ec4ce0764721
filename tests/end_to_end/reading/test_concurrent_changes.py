"""Files that change while they are read, and stores that several threads use."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local import discovery
from amllog.insights.stores.local.catalog import Catalog
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.manifest import read_batches
from amllog.insights.stores.local.python_store import PythonStore

from ...insights.conftest import log, write  # isort: skip

GROWS, GONE = "20261123T100000-node-1-aaaaaa.jsonl", "20261123T100000-node-2-bbbbbb.jsonl"
NOW = timedelta(0)


def messages(insights: Insights) -> list[str]:
    """Return the messages of the logs."""
    return sorted(row["message"] for row in insights.logs())


@contextmanager
def after(function: Any, happens: Callable[[], object]) -> Iterator[None]:
    """Call a function once, at the moment when a function of amllog returns."""
    pending, before = [happens], sys.gettrace()

    def ended(_frame: Any, event: str, _arg: object) -> Any:
        if event == "return" and pending:
            pending.pop()()
        return ended

    sys.settrace(lambda frame, _event, _arg: ended if frame.f_code is function.__code__ else None)
    try:
        yield
    finally:
        sys.settrace(before)
    assert not pending


@pytest.mark.parametrize("moment", [discovery.find_files, Catalog.select])
def test_a_journal_is_deleted_during_a_query(tmp_path: Path, moment: Any) -> None:
    """The answer is the same as if the file had not existed, and has no note."""
    path = write(tmp_path / GONE, log("gone"))
    write(tmp_path / GROWS, log("stays"))
    insights = connect(tmp_path)
    with after(moment, path.unlink):
        rows = insights.logs()
    assert ([row["message"] for row in rows], rows.notes) == (["stays"], ())


def test_files_are_replaced_by_a_compaction(tmp_path: Path) -> None:
    """Records that are in no journal any more are found in the new files."""
    write(tmp_path / GROWS, log("one"))
    write(tmp_path / GONE, log("gone"))
    compact(tmp_path, idle=NOW)
    (tmp_path / GONE).unlink()
    with (tmp_path / GROWS).open("a") as file:
        file.write(json.dumps(log("two")) + "\n")
    insights = connect(tmp_path)
    with after(read_batches, lambda: compact(tmp_path, idle=NOW)):
        assert messages(insights) == ["gone", "one", "two"]


@pytest.mark.parametrize("made", [connect, lambda folder: Insights(PythonStore([folder]))])
def test_threads_share_a_store(tmp_path: Path, made: Callable[[Path], Insights]) -> None:
    """Each thread gets the answer to its own query, also while a file grows."""
    steps = [f"step{number}" for number in range(4)]
    paths = [
        write(tmp_path / f"20261122T100000-{step}-1-abcdef.jsonl", log(step, step_id=step)) for step in steps
    ]
    insights = made(tmp_path)
    wrong: list[object] = []

    def query(step: str, path: Path) -> None:
        for _ in range(8):
            with path.open("a") as file:
                file.write(json.dumps(log(step, step_id=step)) + "\n")
            try:
                rows = {row["message"] for row in insights.logs(step)}
            except Exception as error:
                rows = {repr(error)}
            if rows != {step}:
                wrong.append(rows)

    threads = [threading.Thread(target=query, args=pair) for pair in zip(steps, paths)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_stores_have_separate_temporary_directories() -> None:
    """DuckDB 1 fails if two databases share a directory for data beyond the memory limit."""
    statement = "SELECT current_setting('temp_directory')"
    assert Engine().run(statement).rows != Engine().run(statement).rows
