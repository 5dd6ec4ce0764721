"""The state of data at a path."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.local.execution.data_state import data_state


def test_the_state_has_all_files_in_order(tmp_path: Path) -> None:
    """Folders and files have their names. Files have sizes and times. A path without anything has no state."""
    for name in ("b/x", "a/y", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1, 2))
    time = 2_000_000_000
    expected = [("./a", 0, 0), ("./b", 0, 0), ("./c", 1, time), ("a/y", 3, time), ("b/x", 3, time)]
    assert data_state(tmp_path) == expected
    assert data_state(tmp_path / "c") == [("", 1, time)]
    assert data_state(tmp_path / "nothing") == []


def test_links_have_the_state_of_their_target(tmp_path: Path) -> None:
    """A change behind a link is a change. Links to folders above them and broken links have an end."""
    folder, outside = tmp_path / "data", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "x").write_text("1")
    for name, target in (("file", "../outside/x"), ("sub", "../outside"), ("up", "."), ("broken", "nowhere")):
        (folder / name).symlink_to(target)
    before = [data_state(path) for path in (folder, folder / "file", folder / "sub")]
    (outside / "x").write_text("12")
    after = [data_state(path) for path in (folder, folder / "file", folder / "sub")]
    assert all(old != new for old, new in zip(before, after))
    assert [name for name, _, _ in after[0]] == ["./broken", "./file", "./sub", "./up", "sub/x"]
