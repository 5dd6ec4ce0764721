"""Files that are replaced between amllog's check and DuckDB's opening."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.insights.stores.local import open_files
from amllog.insights.stores.local.compaction import compact

from ...conftest import log, write  # isort: skip

# A process in which all files are replaced by FIFOs before each statement of DuckDB.
SWAPPED = """
import os, sys
from datetime import timedelta
from pathlib import Path
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
place, what = Path(sys.argv[1]), sys.argv[2]
swapped = []
def swap():
    for path in [*place.rglob("*.jsonl"), *place.rglob("*.parquet")]:
        if path.name[0] != "_" and path.is_file():
            path.rename(path.with_suffix(".kept"))
            os.mkfifo(path)
            swapped.append(path)
def back():
    for path in place.rglob("*.kept"):
        for suffix in (".jsonl", ".parquet"):
            if path.with_suffix(suffix).is_fifo():
                os.unlink(path.with_suffix(suffix))
                path.rename(path.with_suffix(suffix))
def watch(frame, event, _arg):
    name = frame.f_code.co_filename
    if name.endswith("local/duckdb_engine.py") and frame.f_code.co_name in ("run", "run_kql"):
        if event == "call":
            swap()
        elif event == "return":
            back()
sys.setprofile(watch)
found = connect(place)
if what == "compact":
    print(compact(place, idle=timedelta(0)).outputs)
elif what == "kql":
    print(len(found.query("traces")))
else:
    print(len(found.logs(limit=9)), *found.logs().notes)
assert swapped
"""


@pytest.mark.parametrize("what", ["logs", "compact", "kql"])
@pytest.mark.parametrize("kept", ["journals", "parquet"])
def test_a_fifo_in_the_place_of_a_file(child: Any, tmp_path: Path, what: str, kept: str) -> None:
    """No command waits for the writer of a FIFO, and the records of the replaced file are read."""
    if what == "kql" and sys.version_info < (3, 11):
        pytest.skip("free KQL needs Python 3.11")
    path = write(tmp_path / "place" / "20261122T100000-node-1-abcdef.jsonl", log("one"), log("two"))
    if kept == "parquet":
        compact(tmp_path / "place", idle=timedelta(0))
        path.unlink() if what != "compact" else write(path, log("one"), log("two"), log("three"))
    ran = child(SWAPPED, str(tmp_path / "place"), what)
    assert (ran.returncode, ran.stdout) == (0, "1\n" if what == "compact" else "2\n"), ran


def test_more_files_than_may_be_open(child: Any, tmp_path: Path) -> None:
    """Small files are copied, each record is read once, and the temporary directory is empty afterwards."""
    for number in range(60):
        write(tmp_path / "place" / f"20261122T100000-node-{number}-abcdef.jsonl", log(f"m {number}"))
    compacted = tmp_path / "place" / "old"
    for number in range(60):
        write(compacted / f"20261122T110000-node-{number}-abcdef.jsonl", log("c", parent_run_id=f"r{number}"))
    compact(compacted, idle=timedelta(0))
    for path in compacted.glob("*.jsonl"):
        path.unlink()
    (tmp_path / "tmp").mkdir()
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
from amllog.insights import connect
found = connect("place")
print(len(found.logs()), found.logs().notes)
"""
    ran = child(code, env={"TMPDIR": str(tmp_path / "tmp")})
    assert (ran.stdout, [*(tmp_path / "tmp").iterdir()]) == ("120 ()\n", []), ran


def test_the_paths_of_open_files(tmp_path: Path, journal: Callable[..., Path]) -> None:
    """A path leads to the open file until the end of the block, and a deleted file has none."""
    path = journal(log("one"))
    with open_files.open_all([path, tmp_path / "none"]) as there:
        assert (there.deleted, [*there.names]) == ([tmp_path / "none"], [path])
        assert there.with_paths(f"in {there.names[path]}") == f"in {path}"
        path.rename(tmp_path / "moved")
        assert os.path.samefile(there.names[path], tmp_path / "moved")
    assert not os.path.lexists(there.names[path])


LARGE = """
import os, resource
from pathlib import Path
paths = [Path(f"{number}.jsonl") for number in range(30)]
for number, path in enumerate(paths):
    path.touch()
    os.truncate(path, (300 if number < 25 else 4) << 20)
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from amllog.insights.stores.local import open_files
with open_files.open_all(paths) as there:
    names = [there.names[path] for path in paths]
    print(sum(name.is_symlink() for name in names), sum(name in paths for name in names))
"""


def test_copies_are_limited(child: Any) -> None:
    """Of 30 files, 20 are open. Of the others, small ones are copied up to the limit."""
    assert child(LARGE).stdout == "20 5\n"
