"""The temporary directory of the reading side: whose are deleted, and what in them."""

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
    """Reads a journal directory with an exporter's file in it, in a process with a temporary directory of its own."""
    path = journal(log("one"))
    (path.parent / "stored.blob").write_bytes(path.read_bytes().replace(b"one", b"two"))
    (tmp_path / "tmp").mkdir()

    def run(code: str = READ) -> Any:
        return child(code, str(path.parent), env={"TMPDIR": str(tmp_path / "tmp")})

    return run


def test_a_directory_of_others_stays(read: Callable[..., Any], tmp_path: Path) -> None:
    """A directory with our name and a lock file of the user stays as it is."""
    theirs = tmp_path / "tmp" / "amllog-read-notes"
    theirs.mkdir(mode=0o700)
    (theirs / "lock").write_text("my own lock notes")
    (theirs / "thesis.txt").write_text("chapter 1")
    ran = read()
    assert ran.stdout.startswith("1\n"), ran
    assert {one.name: one.read_text() for one in theirs.iterdir()} == {
        "lock": "my own lock notes",
        "thesis.txt": "chapter 1",
    }
    assert [one.name for one in (tmp_path / "tmp").iterdir()] == ["amllog-read-notes"]


def test_only_what_amllog_made_is_deleted(read: Callable[..., Any], tmp_path: Path) -> None:
    """Of a process that was killed, the files of lines are deleted; a file that somebody put beside them stays."""
    ran = read(KILLED)
    assert ran.returncode == -signal.SIGKILL, ran
    [left] = (tmp_path / "tmp").iterdir()
    assert len([*left.glob("*.jsonl")]) == 1
    (left / "thesis.txt").write_text("chapter 1")
    assert read().stdout.startswith("1\n")
    assert sorted(one.name for one in left.iterdir()) == ["lock", "thesis.txt"]
    (left / "thesis.txt").unlink()
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


def test_a_killed_compaction_leaves_nothing_for_long(read: Callable[..., Any], tmp_path: Path) -> None:
    """The files that a killed compaction has read from go with the next command that reads."""
    assert read(KILLED_IN_A_COMPACTION).returncode == -signal.SIGKILL
    left = [path for path in (tmp_path / "tmp").rglob("*.jsonl") if path.stem.replace("-", "").isdigit()]
    assert len(left) == 1, left
    assert read().returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []
