"""The files that a query has to read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from amllog.insights.query.query import Equals, Query
from amllog.insights.stores.local.catalog import Catalog
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.duckdb_engine import Engine

from ...conftest import log, write  # isort: skip

NAMES = ("20261122T100000-node-1-abcdef.jsonl", "20261122T110000-node-2-abcdef.jsonl")
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
R2 = Query(("traces",), ("timestamp",), conditions=(Equals(("parent_run_id",), ("r2",)),))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with a journal of the run r1 and one of the run r2."""
    for number, name in enumerate(NAMES, 1):
        write(tmp_path / name, log("hello", parent_run_id=f"r{number}"), "torn\n" * number)
    return tmp_path


def test_only_files_with_possible_records_are_selected(directory: Path) -> None:
    """A query for one run selects its journal and its torn lines, and no query selects everything."""
    catalog = Catalog([directory], Engine())
    selection = catalog.select(R2, NOW)
    assert [path.name for path in selection.journals] == [NAMES[1]]
    assert (selection.damaged, selection.torn) == ({directory / NAMES[1]: 2}, 0)
    assert (selection.deduplicate, selection.unread) == (False, [])
    assert len(catalog.select(None, NOW).journals) == 2


def test_compacted_files_replace_journals(directory: Path) -> None:
    """After a compaction, the Parquet file of the run is selected, whether or not the journals exist."""
    compact(directory, idle=timedelta(0))
    catalog = Catalog([directory], Engine())
    for _ in range(2):
        selection = catalog.select(R2, NOW)
        assert selection.journals == []
        assert [path.parent.name for path in selection.compacted] == ["parent_run_id=r2"]
        assert (selection.damaged, selection.torn) == ({directory / NAMES[1]: 2}, 0)
        assert len(selection.groups) == 1
        for path in directory.glob("*.jsonl"):
            path.unlink()
