"""The temporary directory of the reading side: which directories and files are deleted."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...conftest import log  # isort: skip

pytest.importorskip("duckdb")

READ = """
import sys, tempfile
from pathlib import Path
from amllog.insights import connect
print(len(connect(Path(sys.argv[1])).logs()))
made = sorted(Path(tempfile.gettempdir()).glob("amllog-read-*/*.jsonl"))
print(*made)
"""
KILLED = READ + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.fixture
def read(journal: Callable[..., Path], child: Any, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that reads a journal and an exporter's file in a child process with its own TMPDIR."""
    path = journal(log("one"))
    (path.parent / "stored.blob").write_bytes(path.read_bytes().replace(b"one", b"two"))
    (tmp_path / "tmp").mkdir()

    def run(code: str = READ) -> Any:
        return child(code, str(path.parent), env={"TMPDIR": str(tmp_path / "tmp")})

    return run


def test_a_directory_of_others_stays(read: Callable[..., Any], tmp_path: Path) -> None:
    """A directory with our name and another program's lock file is not changed."""
    theirs = tmp_path / "tmp" / "amllog-read-notes"
    theirs.mkdir(mode=0o700)
    (theirs / "lock").write_text("my own lock notes")
    (theirs / "thesis.txt").write_text("chapter 1")
    ran = read()
    assert ran.stdout.startswith("1\n"), ran
    assert {path.name: path.read_text() for path in theirs.iterdir()} == {
        "lock": "my own lock notes",
        "thesis.txt": "chapter 1",
    }
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["amllog-read-notes"]


def test_only_files_of_amllog_are_deleted(read: Callable[..., Any], tmp_path: Path) -> None:
    """The converted files of a killed process are deleted, and other files in its directory stay."""
    ran = read(KILLED)
    assert ran.returncode == -signal.SIGKILL, ran
    [directory] = (tmp_path / "tmp").iterdir()
    assert len([*directory.glob("*.jsonl")]) == 1
    (directory / "thesis.txt").write_text("chapter 1")
    assert read().stdout.startswith("1\n")
    assert sorted(path.name for path in directory.iterdir()) == ["lock", "thesis.txt"]
    (directory / "thesis.txt").unlink()
    assert read().stdout.startswith("1\n")
    assert [*(tmp_path / "tmp").iterdir()] == []


KILLED_IN_A_COMPACTION = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
directory = Path(sys.argv[1])
compact(directory, idle=timedelta(0))
journal = next(directory.glob("*T*.jsonl"))
journal.write_bytes(journal.read_bytes() + journal.read_bytes().replace(b"one", b"three"))
def watch(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(".parquet"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
compact(directory, idle=timedelta(0))
"""


def test_files_of_a_killed_compaction_are_deleted(read: Callable[..., Any], tmp_path: Path) -> None:
    """The next reading command deletes the files that a killed compaction has read."""
    assert read(KILLED_IN_A_COMPACTION).returncode == -signal.SIGKILL
    copies = [path for path in (tmp_path / "tmp").rglob("*.jsonl") if path.stem.replace("-", "").isdigit()]
    assert len(copies) == 1, copies
    assert read().returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []
