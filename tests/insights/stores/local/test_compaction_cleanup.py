"""The files of interrupted compactions, and the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights.stores.local import compaction_cleanup, index_json
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.manifest import Manifest

NAME = f"parent_run_id=r/{0:032x}.parquet"


def test_a_marked_file_is_deleted(tmp_path: Path) -> None:
    """A torn file with a mark beside it is deleted with its mark, and one without a mark stays."""
    folder = tmp_path / "parent_run_id=r"
    folder.mkdir()
    marked, unmarked = folder / f"_{1:032x}.parquet", folder / f"_{2:032x}.parquet"
    compaction_cleanup.mark_begun(marked)
    for path in (marked, unmarked):
        path.write_bytes(b"PAR1 torn")
    compaction_cleanup.remove_unfinished(Engine(), tmp_path)
    assert [*folder.iterdir()] == [unmarked]


def test_leftovers_of_the_manifest_are_forgotten(tmp_path: Path) -> None:
    """A file among the leftovers that does not exist any more is removed from the manifest."""
    compaction_cleanup.write_manifest(tmp_path, [], [NAME])
    assert Manifest.read(tmp_path) == Manifest([], [NAME])
    compaction_cleanup.remove_unfinished(Engine(), tmp_path)
    assert Manifest.read(tmp_path) == Manifest([], [])


def test_a_manifest_has_a_maximum_size(tmp_path: Path) -> None:
    """A manifest that no reader would accept is an error, and is not written."""
    names = [f"parent_run_id={'r' * 200}/{number:032x}.parquet" for number in range(80_000)]
    assert sum(map(len, names)) > index_json.MAX_BYTES
    with pytest.raises(UsageError, match="would be larger"):
        compaction_cleanup.write_manifest(tmp_path, [], names)
    assert [*tmp_path.iterdir()] == []
