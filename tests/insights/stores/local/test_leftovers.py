"""Files that are not read."""

from __future__ import annotations

from pathlib import Path

from amllog.insights.stores.local.leftovers import MAX_DESCRIBED, Leftovers


def test_many_ignored_files_are_counted(tmp_path: Path) -> None:
    """Ten ignored files are described, and the others are counted. A named file is unread."""
    leftovers = Leftovers()
    for number in range(MAX_DESCRIBED + 3):
        path = tmp_path / f"{number}.csv"
        path.write_text("a,b\n", encoding="utf-8")
        leftovers.add(path, is_named=False)
    sentences = leftovers.describe_ignored()
    assert len(sentences) == MAX_DESCRIBED + 1 and sentences[-1] == "3 more files"
    assert leftovers.unread == []
    leftovers.add(path, is_named=True)
    assert leftovers.unread[0].startswith(f"{path}: is CSV, which could not be read: ")
