"""Files of other users in a shared directory are read, and never replace those of this user."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import log, write  # isort: skip

OTHER, NOW = 65534, timedelta(0)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
OWN, FORGED = "20261122T100000-node-1-abcdef.jsonl", "20260101T100000-node-2-abcdef.jsonl"


@pytest.fixture
def shared(journal: Callable[..., Path]) -> Path:
    """Return a sticky directory with a journal of this user."""
    path = journal(*(log(f"mine {number}", record_id=f"5e71e5-{number:x}") for number in range(3)), name=OWN)
    path.parent.chmod(0o1777)
    return path.parent


def forge(path: Path, *changes: tuple[str, str], mode: int = 0o644) -> Path:
    """Write a copy of this user's journal with changed content, which another user owns."""
    text = (path.parents[path.parts[::-1].index("j") - 1] / OWN).read_text()
    for old, new in (("mine", "forged"), *changes):
        text = text.replace(old, new)
    return give(write(path, text), mode)


def give(path: Path, mode: int = 0o644) -> Path:
    """Give a file or a directory to another user."""
    os.chown(path, OTHER, OTHER)
    path.chmod(mode)
    return path


STORES = pytest.mark.parametrize("store", [DuckDBStore, PythonStore])


@STORES
@pytest.mark.parametrize(
    "changes", [(), (("10:00:00", "09:00:00"),), (("10:00:00", "11:00:00"),)], ids=["same", "before", "after"]
)
@pytest.mark.parametrize(
    "name", [FORGED, OWN.replace("abcdef", "ffffff"), f"theirs/{OWN}", "theirs/any.jsonl"]
)
def test_a_forged_copy_does_not_count(shared: Path, store: Any, changes: Any, name: str) -> None:
    """With any name, place and times, the records of this user count, and a note reports the file."""
    forge(shared / name, *changes)
    if (shared / "theirs").exists():
        give(shared / "theirs", 0o755)
    table = Insights(store([shared])).logs()
    assert [row["message"] for row in table] == ["mine 0", "mine 1", "mine 2"]
    assert [note for note in table.notes if "1 file of another user read" in note], table.notes


@STORES
def test_a_longer_copy_with_the_same_name(shared: Path, store: Any) -> None:
    """A longer copy is not taken for a later state of the file, so its changes do not count."""
    many = [log(f"mine {number}", record_id=f"5e71e5-{number:x}") for number in range(40)]
    write(shared / OWN, *many)
    write(
        shared / "theirs" / OWN,
        *many[:20],
        *({**envelope} for envelope in many[20:]),
        log("added", record_id="5e71e5-ff"),
    )
    path = shared / "theirs" / OWN
    path.write_text(path.read_text().replace("mine 39", "forged 39"))
    give(path.parent, 0o755), give(path)
    table = sorted(row["message"] for row in Insights(store([shared])).logs())
    assert table == sorted([*(f"mine {number}" for number in range(40)), "added"])


@STORES
def test_world_writable_files(shared: Path, store: Any) -> None:
    """A world-writable file of another user is not read, with a note. One of this user is read."""
    forge(shared / FORGED, ("5e71e5", "5e71e6"), mode=0o666)
    (shared / OWN).chmod(0o666)
    table = Insights(store([shared])).logs()
    assert [row["message"] for row in table] == ["mine 0", "mine 1", "mine 2"]
    assert ["everybody can write to it" in note for note in table.notes] == [True]


@STORES
def test_colleagues_and_the_owner_of_the_directory(shared: Path, store: Any) -> None:
    """Files of other users are read with a note, and without one if they own the directory or the file was given."""
    path = forge(shared / FORGED, ("5e71e5", "5e71e6"))
    table = Insights(store([shared])).logs()
    assert (len(table), len(table.notes)) == (6, 1)
    assert Insights(store([path])).logs().notes == ()
    give(shared, 0o755)
    table = Insights(store([shared])).logs()
    assert (len(table), table.notes) == (6, ())


def test_forged_times_do_not_change_a_run(shared: Path) -> None:
    """Forged times have no effect on answers from the index or from KQL."""
    before = connect(shared).steps().rows
    forge(shared / FORGED, ("10:00:00", "03:00:00"))
    table = connect(shared)
    assert table.steps().rows == before
    if sys.version_info >= (3, 11):
        assert [*table.query("traces | summarize by message | sort by message asc").rows[0].values()] == [
            "mine 0"
        ]


def test_a_compacted_folder_of_another_user(shared: Path, tmp_path: Path) -> None:
    """A compacted folder of another user replaces no journal of this user, and nothing is written into it."""
    other = tmp_path / "other" / "j"
    other.mkdir(parents=True)
    write(other / OWN, (shared / OWN).read_text().replace("mine", "fake"))
    compact(other, idle=NOW)
    (other / "compacted").rename(shared / "compacted")
    for path in [shared / "compacted", *(shared / "compacted").rglob("*")]:
        give(path, 0o755 if path.is_dir() else 0o644)
    table = connect(shared).logs()
    assert [row["message"] for row in table] == ["mine 0", "mine 1", "mine 2"]
    before = sorted((shared / "compacted").rglob("*"))
    with pytest.raises(UsageError, match="belongs to another user"):
        compact(shared, idle=NOW)
    assert sorted((shared / "compacted").rglob("*")) == before
    (shared / OWN).unlink()
    table = connect(shared).logs()
    assert ([row["message"] for row in table], len(table.notes)) == (["fake 0", "fake 1", "fake 2"], 1)
    assert "of another user read" in table.notes[0]


def test_compact_skips_files_of_other_users(shared: Path) -> None:
    """Files of other users are not compacted, because their records would then count as those of this user."""
    forge(shared / FORGED, ("5e71e5", "5e71e6"))
    done = compact(shared, idle=NOW)
    assert (done.sources, done.others) == (1, 1)
    assert len(connect(shared).logs()) == 6
    give(shared, 0o755)
    done = compact(shared, idle=NOW)
    assert (done.sources, done.others) == (1, 0)
    assert json.loads(json.dumps(done._asdict()))["before"] == 1
