"""The index file of a folder."""

from __future__ import annotations

import json
from pathlib import Path

from amllog.insights.stores.local.index_entries import IndexEntry
from amllog.insights.stores.local.index_file import INDEX_NAME, VERSION, load, save

ENTRY = IndexEntry(10, 20, 1, (), (), "aa")


def test_saved_entries_are_loaded(tmp_path: Path) -> None:
    """Entries of files that exist are loaded, and others are not."""
    path = tmp_path / 'a "é".jsonl'
    path.touch()
    save(tmp_path, {path: ENTRY, tmp_path / "deleted.jsonl": ENTRY})
    assert load(tmp_path) == {path: ENTRY}
    assert json.loads((tmp_path / INDEX_NAME).read_text())["version"] == VERSION == 6


def test_a_missing_or_empty_file_has_no_entries(tmp_path: Path) -> None:
    """A missing or empty file has no entries. It is not a file of another program, so it is replaced later."""
    assert load(tmp_path) == {}
    (tmp_path / INDEX_NAME).touch()
    assert load(tmp_path) == {}


def test_a_file_of_another_program_stays(tmp_path: Path) -> None:
    """The file of another program is reported as None, and saving does not replace it."""
    (tmp_path / INDEX_NAME).write_text('{"mine": 1}')
    assert load(tmp_path) is None
    save(tmp_path, {tmp_path / "a": ENTRY})
    assert (tmp_path / INDEX_NAME).read_text() == '{"mine": 1}'
