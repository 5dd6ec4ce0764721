"""The folders of local runs: their journal is read in the place of the copies in the local Azure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from amllog.insights.stores.local.discovery import find_files
from amllog.insights.stores.local.local_runs import has_journals, with_journals

JOURNAL, COPY = "20261130T235959-h-1-aaaa.jsonl", "20261130T235959-h-2-bbbb.jsonl"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the journal and the folder of one local run."""
    run = tmp_path / "amllog-runs" / "r"
    for folder, name in ((tmp_path / ".amllog", JOURNAL), (run / "azure" / "received", COPY)):
        folder.mkdir(parents=True)
        (folder / name).write_text(f'{{"name":"{name}"}}\n')
    (run / "run.json").write_text(json.dumps({"journal": str(tmp_path / ".amllog")}))
    return tmp_path


def names(place: Path) -> list[str]:
    """Return the names of the files that are read for `--dir PLACE`."""
    return [file.path.name for file in find_files(with_journals([place]))]


@pytest.mark.parametrize("place", ["", "amllog-runs", "amllog-runs/r"])
def test_the_journal_of_a_run_is_read_once(project: Path, place: str) -> None:
    """Above and in the folder of a run, its journal is read, and not the copies."""
    assert names(project / place) == [JOURNAL]
    assert has_journals(project / place) and not has_journals(project / ".amllog")


def test_copies_are_read_if_nothing_else_is_there(project: Path) -> None:
    """The copies are read if they are named, without their journal, and if another user names the journal."""
    runs = project / "amllog-runs"
    assert names(runs / "r" / "azure" / "received") == [COPY]
    assert names(runs / "r" / "azure") == [COPY]
    assert names(runs / "r" / "azure" / "received" / COPY) == [COPY]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(runs / "r" / "run.json", 12_345, -1)
        assert names(runs) == [COPY]
        os.chown(runs / "r" / "run.json", 0, -1)
    (project / ".amllog" / JOURNAL).unlink()
    (project / ".amllog").rmdir()
    assert names(project) == [COPY]
    (runs / "r" / "run.json").write_text("[]")
    assert names(project) == [COPY]
