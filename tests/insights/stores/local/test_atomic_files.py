"""Files of the reading side are private, and an interrupted process leaves none behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.insights import connect
from amllog.insights.stores.local import atomic_files, index_file
from amllog.insights.stores.local.compaction import compact
from amllog.insights.stores.local.compaction_cleanup import MARK
from amllog.insights.stores.local.manifest import MANIFEST

from ...conftest import log, write  # isort: skip

NOW = timedelta(0)
# A process that gets this signal while it writes its first new file to the disk.
INTERRUPTED = """
import os, signal, sys
real, pending = os.fsync, [1]
def fsync(fd):
    real(fd)
    if pending and "index" in os.readlink(f"/proc/self/fd/{fd}"):
        pending.pop()
        os.kill(os.getpid(), int(sys.argv[1]))
        signal.pause() if int(sys.argv[1]) != signal.SIGINT else None
os.fsync = fsync  # the system's, not ours: the moment of the signal
from amllog.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
MODES = """
import os, sys
from datetime import timedelta
from pathlib import Path
os.umask(int(sys.argv[1], 8))
from amllog.insights import connect
from amllog.insights.stores.local.compaction import compact
made = set()
def watch(event, arguments):  # records each created file
    if event == "open" and arguments[2] & os.O_CREAT and "place" in str(arguments[0]):
        made.add(str(arguments[0]))
sys.addaudithook(watch)
compact(Path("place"), idle=timedelta(0))
print(len(connect("place").logs()))
"""


def modes(folder: Path) -> set[tuple[bool, str]]:
    """Return (is a directory, mode) for everything in a folder except the journal files."""
    paths = [path for path in folder.rglob("*") if path.suffix != ".jsonl"]
    return {(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in paths}


@pytest.mark.parametrize("umask", ["0", "22", "77"])
def test_everything_is_private(child: Any, tmp_path: Path, umask: str) -> None:
    """With any umask, directories of a compaction have the mode 0700, its files and the index 0600."""
    write(
        tmp_path / "place" / "20261122T100000-node-1-abcdef.jsonl", log("one"), log("two", parent_run_id="r2")
    )
    ran = child(MODES, umask)
    assert ran.stdout == "2\n", ran
    assert [*(tmp_path / "place").glob("compacted/*/*.parquet")]
    assert modes(tmp_path / "place") == {(True, "0o700"), (False, "0o600")}


def test_a_parquet_file_is_private_from_its_first_byte(tmp_path: Path, journal: Callable[..., Path]) -> None:
    """No other user can open a Parquet file while DuckDB writes it, even in a folder that others may read."""
    folder = journal(log("one")).parent
    compact(folder, idle=NOW)
    for path in (folder / "compacted", *(folder / "compacted").glob("parent_run_id=*")):
        path.chmod(0o755)
    write(folder / "20261122T110000-node-1-abcdef.jsonl", log("two"))
    seen: list[str] = []

    def watch(frame: Any, event: str, _arg: object) -> Any:
        if event == "call" and frame.f_code.co_name == "run" and "COPY" in str(frame.f_locals.get("sql", "")):
            seen.extend(oct(path.stat().st_mode & 0o777) for path in folder.glob("compacted/*/_*.parquet"))

    before = os.umask(0)
    sys.setprofile(watch)
    try:
        compact(folder, idle=NOW)
    finally:
        sys.setprofile(None)
        os.umask(before)
    assert seen == ["0o600"]
    assert {oct(path.stat().st_mode & 0o777) for path in folder.glob("compacted/*/*.parquet")} == {"0o600"}
    # The user may have set the read permissions of the folder.
    assert oct((folder / "compacted").stat().st_mode & 0o777) == "0o755"


def test_a_folder_that_others_can_write_to(journal: Callable[..., Path]) -> None:
    """The next compaction removes the write permission of others from `compacted`."""
    folder = journal(log("one")).parent
    (folder / "compacted").mkdir()
    (folder / "compacted").chmod(0o777)
    compact(folder, idle=NOW)
    assert oct((folder / "compacted").stat().st_mode & 0o777) == "0o755"


@pytest.mark.parametrize("command", [["runs"], ["compact", "--idle", "0s"]], ids=["runs", "compact"])
def test_ctrl_c_while_the_index_is_written(
    child: Any, journal: Callable[..., Path], command: list[str]
) -> None:
    """The new index file is deleted after Ctrl-C."""
    folder = journal(log("one")).parent
    ran = child(INTERRUPTED, str(int(signal.SIGINT)), *command, env={"AMLLOG_DIR": str(folder)})
    assert ran.returncode == 130, ran
    assert [path.name for path in folder.iterdir() if ".amllog-index.json." in path.name] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_new_files_of_a_killed_process_are_deleted(
    child: Any, journal: Callable[..., Path], number: signal.Signals
) -> None:
    """The next command deletes new files that are old enough to have no writer."""
    folder = journal(log("one")).parent
    ran = child(INTERRUPTED, str(int(number)), "runs", env={"AMLLOG_DIR": str(folder)})
    assert ran.returncode == -number, ran
    [abandoned] = folder.glob(".amllog-index.json.*")
    connect(folder).logs()
    assert abandoned.exists()  # its writer may still be running
    _make_old(abandoned)
    connect(folder).logs()
    assert not abandoned.exists()


def test_only_abandoned_files_are_deleted(journal: Callable[..., Path]) -> None:
    """Files with such a name and other content, hard links and symbolic links stay."""
    folder = journal(log("one")).parent
    compact(folder, idle=NOW)
    beside = {
        folder / index_file.INDEX_NAME: b'{"version": ',
        folder / "compacted" / MANIFEST: b'{"batches": [',
    }
    abandoned, kept = [], []
    for path, begin in beside.items():
        for number, text in enumerate([begin + b"5", begin[:4], b""]):
            abandoned.append(_write(path.with_name(f"{path.name}.{number:016x}"), text))
        kept += [_write(path.with_name(f"{path.name}.{9:016x}"), b'{"mine": 1}'), path]
        kept.append(_write(path.with_name(f"{path.name}.backup"), begin))
        kept.append(_write(path.with_name(f"{path.name}.{10:016x}"), begin))
        os.link(kept[-1], folder / f"{path.name}-other")
        path.with_name(f"{path.name}.{11:016x}").symlink_to(path)
        kept.append(path.with_name(f"{path.name}.{11:016x}"))
    compact(folder, idle=NOW)
    connect(folder).logs()
    assert [path for path in abandoned if path.exists()] == []
    assert [path for path in kept if not path.is_symlink() and not path.exists()] == []


def test_a_torn_mark_is_deleted(journal: Callable[..., Path]) -> None:
    """The next compaction deletes an incomplete mark, and keeps a file of another program."""
    folder = journal(log("one")).parent
    compact(folder, idle=NOW)
    [run] = (folder / "compacted").glob("parent_run_id=*")
    torn = [run / f"_{number:032x}.begun" for number in range(3)]
    for path, text in zip(torn, (b"", MARK[:9], MARK)):
        path.write_bytes(text)
    mine = _write(run / f"_{9:032x}.begun", b"notes")
    compact(folder, idle=NOW)
    assert [path.exists() for path in (*torn, mine)] == [False, False, False, True]


FULL = """
import resource, sys, os, tempfile
from datetime import timedelta
from pathlib import Path
import amllog.insights.stores.local.compaction as compaction
from amllog.errors import UsageError
from amllog.insights.stores.local import ownership, compaction_cleanup
path = Path("place/compacted/parent_run_id=x/_" + "0" * 32 + ".parquet")
path.parent.mkdir(parents=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))
try:
    compaction_cleanup.mark_begun(path)
except OSError as error:
    print(error.errno, os.listdir(path.parent))
"""


def test_a_mark_that_does_not_fit_on_the_disk(child: Any) -> None:
    """A mark that does not fit on the disk is deleted at once."""
    assert child(FULL).stdout == "27 []\n"


def _write(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return _make_old(path)


def _make_old(path: Path) -> Path:
    then = time.time() - 2 * atomic_files.ABANDONED_SECONDS
    os.utime(path, (then, then))
    return path
