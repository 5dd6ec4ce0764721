"""Compacted files that cannot be read, and whose journal files are deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from amllog.insights.questions import Questions
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.manifest import MANIFEST
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import failure, log  # isort: skip

NAMES = ("20261122T100000-node-1-abcdef.jsonl", "20261122T110000-node-2-abcdef.jsonl")


@pytest.fixture
def compacted(journal: Callable[..., Path]) -> Path:
    """Return the folder of two compacted runs, r1 and r2, whose journal files still exist."""
    for number, name in enumerate(NAMES, 1):
        path = journal(
            log("hello", parent_run_id=f"r{number}"), failure("no", parent_run_id=f"r{number}"), name=name
        )
    compact(path.parent, idle=timedelta(0))
    return path.parent / "compacted"


def delete_journals(folder: Path) -> None:
    """Delete the journal files, which is allowed after a compaction."""
    for name in NAMES:
        (folder.parent / name).unlink()


def delete(path: Path) -> None:
    """Delete a Parquet file."""
    path.unlink()


def truncate(path: Path) -> None:
    """Keep the first half of a Parquet file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [delete, truncate])
def test_a_missing_parquet_file_is_named(compacted: Path, damage: Callable[[Path], None]) -> None:
    """A missing or truncated Parquet file is a note of the answers about its run, and other runs are read."""
    (path,) = compacted.glob("parent_run_id=r2/*.parquet")
    damage(path)
    assert len(Questions(DuckDBStore([compacted.parent])).errors()) == 2  # the journals have all records
    assert not Questions(DuckDBStore([compacted.parent])).errors().notes
    delete_journals(compacted)
    questions = Questions(DuckDBStore([compacted.parent]))
    note = f"not read: {path}: is missing, or no whole Parquet file"
    for table, rows in ((questions.errors(), 1), (questions.errors("r2"), 0), (questions.logs(), 2)):
        assert (len(table), table.notes) == (rows, (note,))
    assert not questions.errors("r1").notes


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_a_missing_manifest_is_named(compacted: Path, store: Callable[..., DuckDBStore]) -> None:
    """Without its manifest, a folder of compacted runs is not read, and a note reports it."""
    (compacted / MANIFEST).unlink()
    delete_journals(compacted)
    table = Questions(store([compacted.parent])).errors()
    assert not table
    assert table.notes == (f"not read: {compacted / MANIFEST}: is missing beside Parquet files",)
