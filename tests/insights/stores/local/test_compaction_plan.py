"""Plans of the batches of a compaction."""

from __future__ import annotations

from pathlib import Path

from amllog.insights.stores.local.compaction_plan import BATCH_BYTES, plan_batches
from amllog.insights.stores.local.discovery import fingerprint
from amllog.insights.stores.local.index_entries import IndexEntry, RecordGroup
from amllog.insights.stores.local.manifest import Batch, SourceFile


def entry(run: str, size: int, digest: str = "") -> IndexEntry:
    """Return an entry for a file with records of one run."""
    group = RecordGroup(run, "s", "train", "trace", 1, "2026-11-22T10:00:00", "2026-11-22T10:00:00", 1, 0)
    return IndexEntry(size, 1, 0, (group,), (), digest)


def test_new_files_are_grouped_by_run_and_size(tmp_path: Path) -> None:
    """Files are sorted by run, and a batch ends at its size."""
    entries = {"c": entry("r1", 2), "a": entry("r2", BATCH_BYTES), "b": entry("r1", 3)}
    plans = plan_batches([], entries, tmp_path, tmp_path)
    assert [[path.name for path in plan.inputs] for plan in plans] == [["b", "c"], ["a"]]
    assert [plan.source_bytes for plan in plans] == [5, BATCH_BYTES]
    assert plan_batches([], {}, tmp_path, tmp_path) == []


def test_a_grown_file_replaces_its_batch(tmp_path: Path) -> None:
    """Only the appended bytes are an input, and batches with a common source are replaced together."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "a").write_bytes(b"one\n")
    known = entry("r1", 4, fingerprint(tmp_path / "a", 4))
    (tmp_path / "a").write_bytes(b"one\ntwo\n")
    batches = [
        Batch((SourceFile("a", known), SourceFile("x", known)), {}),
        Batch((SourceFile("x", known),), {}),
    ]
    [plan] = plan_batches(batches, {"a": entry("r1", 8)}, tmp_path, tmp_path / "scratch")
    assert [path.read_bytes() for path in plan.inputs] == [b"two\n"]
    assert (plan.replaced, sorted(plan.sources)) == (batches, ["a", "x"])


def test_a_changed_start_is_read_completely(tmp_path: Path) -> None:
    """A file without the known fingerprint is an input itself."""
    (tmp_path / "a").write_bytes(b"new\ntwo\n")
    batch = Batch((SourceFile("a", entry("r1", 4, "00")),), {})
    [plan] = plan_batches([batch], {"a": entry("r1", 8)}, tmp_path, tmp_path)
    assert plan.inputs == [tmp_path / "a"]
