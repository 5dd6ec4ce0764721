"""The Parquet files of one batch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from amllog.insights.stores.local import batch_writer, discovery
from amllog.insights.stores.local.compaction_plan import plan_batches
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.duckdb_views import NO_RUN
from amllog.insights.stores.local.index import Index
from amllog.insights.stores.local.manifest import read_batches

from ...conftest import log, write  # isort: skip

NAME = "20261122T100000-node-1-abcdef.jsonl"


def test_a_batch_has_one_file_per_run(tmp_path: Path) -> None:
    """The committed batch names its source and its files, and no unfinished file remains."""
    write(tmp_path / NAME, log("one"), log("two", parent_run_id="other"))
    (tmp_path / "compacted").mkdir()
    engine = Engine()
    [entry] = Index(engine).entries(discovery.find_files([tmp_path])).values()
    [plan] = plan_batches([], {NAME: entry}, tmp_path, tmp_path)
    outputs = batch_writer.commit_batch(engine, plan, tmp_path / "compacted")
    [batch] = read_batches(tmp_path / "compacted")
    assert batch.outputs == outputs
    assert [source.name for source in batch.sources] == [NAME]
    assert batch.is_complete(tmp_path / "compacted")
    files = {path.relative_to(tmp_path / "compacted").as_posix() for path in tmp_path.rglob("*.parquet")}
    assert files == set(outputs)


def test_run_ids_are_encoded_in_folders() -> None:
    """Special characters are escaped, and no run has the name of an empty Hive partition."""
    assert batch_writer.run_folder("a/b c") == "parent_run_id=a%2Fb%20c"
    assert batch_writer.run_folder("") == f"parent_run_id={NO_RUN}"
