"""Journals on read-only, removed, torn, full and shared directories: waiting records arrive once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

from .conftest import COMMAND_WITH_PEAK, LEAVE_RECORDS, NOWHERE  # isort: skip


def leave_records(child: Any, name: str, count: int = 20, **env: str) -> list[str]:
    """Run a process that leaves records behind, and return its messages."""
    ran = child(
        LEAVE_RECORDS, name, str(count), env={"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, **env}
    )
    assert ran.returncode == 0, ran.stderr
    return [f"{name} {i}" for i in range(count)]


def deliver(azure: AzureOnThisMachine, seconds: float = 30) -> amllog.Account:
    """Deliver like the next setup() on the directory."""
    amllog.setup(connection_string=azure.connection_string)
    return amllog.shutdown(timeout=seconds)


def test_private(child: Any, tmp_path: Path) -> None:
    """The journal is private with any umask: folder 0700, files 0600."""
    for umask in (0, 0o077):
        child(
            f"import os; os.umask({umask})\n" + LEAVE_RECORDS,
            "m",
            "1",
            env={"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE},
        )
        child(f"import os, amllog; os.umask({umask}); amllog.setup().info('m'); amllog.flush(1)")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / ".amllog").iterdir()}
    assert (stat.S_IMODE((tmp_path / ".amllog").stat().st_mode), modes) == (0o700, {0o600})


def test_torn(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """Torn, corrupt, empty and foreign lines and files lose only themselves, and no file waits forever."""
    messages = leave_records(child, "first")
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:50] + b"\0\0\0" + lines[3][60:]
    lines[5] = b"\n"
    lines[7] = b"not an envelope\n"
    lines[9] = lines[9].replace(b'"message"', b'"messag\xff"')
    lines[-1] = lines[-1][:-10]
    journal.write_bytes(b"".join(lines))
    (journal.parent / "empty.jsonl").touch()
    (journal.parent / "foreign.jsonl").write_bytes(b"\xff\xfe\0" * 1000)
    (journal.parent / "folder.jsonl").mkdir()
    (journal.with_suffix(".ack")).write_bytes(b'{"outlet":"app_insights","to":')
    account = deliver(azure)
    good = [message for number, message in enumerate(messages) if number not in (3, 5, 7, 9, 19)]
    assert received().messages == good
    assert account.leftovers_delivered == len(good)
    assert deliver(azure).leftovers_delivered == 0
    assert received().messages == good


def test_torn_checkpoint(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """A checkpoint entry that a kill tore is ignored, and the next one is valid."""
    messages = leave_records(child, "first")
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    journal.with_suffix(".ack").write_bytes(b'{"outlet":"app_insights","to":')
    for _ in range(3):
        deliver(azure)
    assert received().messages == messages


def test_two_at_once(child: Any, azure: AzureOnThisMachine, connected: Any, received: Any) -> None:
    """Processes on one directory write separate files, and each orphan is sent by one of them."""
    messages = [message for name in "abcde" for message in leave_records(child, name, 200)]
    azure.faults.put(Fault(seconds=0.1))
    code = "import amllog, sys; log = amllog.setup(); [log.info('%s %d', sys.argv[1], i) for i in range(50)]"
    env = {**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"}
    running = [child.start(code, name, env=env) for name in ("x", "y", "z")]
    for process in running:
        assert process.wait(600) == 0
    azure.faults.clear()
    deliver(azure)
    records = received()
    live = [f"{name} {i}" for name in "xyz" for i in range(50)]
    assert sorted(records.messages) == sorted(messages + live)
    assert records.duplicates == []


def test_read_only_folder(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """If the working directory is not writable, a private temporary one is used, with one notice."""
    if not hasattr(os, "getuid"):
        pytest.skip("no users here")
    folder, spare = tmp_path / "ro", tmp_path / "spare"
    folder.mkdir()
    spare.mkdir()
    (folder / ".amllog").write_text("a file in the way: root may write to read-only folders")
    code = "import amllog; log = amllog.setup(); log.info('m'); print(amllog.flush(200)); amllog.setup()"
    ran = child(code, env={**connected, "TMPDIR": str(spare)}, cwd=folder)
    assert (ran.returncode, received().messages) == (0, ["m"]), ran.stderr
    assert ran.stdout.count("no journal in") == 1
    (journaled,) = spare.rglob("*.jsonl")
    assert stat.S_IMODE(journaled.parent.stat().st_mode) == 0o700


def test_nowhere_to_write(child: Any, connected: Any, tmp_path: Path) -> None:
    """Without any directory, the driver log works, nothing is raised, and the account counts each record."""
    (tmp_path / ".amllog").write_text("in the way")
    (tmp_path / "spare").write_text("in the way")
    code = "import amllog; log = amllog.setup(); log.info('one'); log.info('two'); print(amllog.flush(5))"
    ran = child(
        code, env={**connected, "TMPDIR": str(tmp_path / "spare"), "TMP": "/dev/null", "TEMP": "/dev/null"}
    )
    assert ran.returncode == 0, ran.stderr
    assert "one" in ran.stdout and "two" in ran.stdout


def test_removed_folder(child: Any, received: Any, connected: Any) -> None:
    """If the directory is removed while the process runs, nothing is raised, and accepted records arrive."""
    code = """
import shutil, amllog
log = amllog.setup(journal_max_bytes="1 MiB")
log.info("before")
amllog.flush(200)
shutil.rmtree(".amllog")
for i in range(400): log.info("after %d %s", i, "x" * 500)
account = amllog.flush(200)
print("sum", account.accepted, account.outlets["app_insights"].accepted, account.waiting)
"""
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.returncode == 0 and ran.stderr == ""
    messages = [message.split(" x")[0] for message in received().messages]
    assert messages == ["before", *(f"after {i}" for i in range(400))]
    assert "sum 401 401 0" in ran.stdout


def test_quota(child: Any, azure: AzureOnThisMachine, connected: Any, received: Any, tmp_path: Path) -> None:
    """At the size limit, delivered files are deleted. If there are none, new records are refused and counted."""
    code = """
import amllog, time
log = amllog.setup(journal_max_bytes="1 MiB")
for i in range(5000):
    log.info("%d %s", i, "x" * 300)
    if i % 500 == 499: amllog.flush(200)
account = amllog.flush(200)
print(account.accepted, account.outlets["app_insights"].delivered, account.outlets["app_insights"].refused)
"""
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.stdout == "5000 5000 {}\n"
    assert sum(path.stat().st_size for path in (tmp_path / ".amllog").iterdir()) <= 1.1 * 1024**2
    assert [int(message.split()[0]) for message in received().messages] == list(range(5000))
    azure.stop()
    ran = child(
        code.replace("60)", "0)"), env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR", "AMLLOG_DIR": "full"}
    )
    accepted, delivered, refused = ran.stdout.split(maxsplit=2)
    assert (accepted, delivered) == ("5000", "0")
    (reason,) = json.loads(refused.replace("'", '"'))
    assert reason == "journal is full (journal_max_bytes)"
    assert sum(path.stat().st_size for path in (tmp_path / "full").iterdir()) <= 1024**2
    azure.start()
    journaled = 5000 - json.loads(refused.replace("'", '"'))[reason]
    amllog.setup(connection_string=azure.connection_string, directory="full", driver_level="ERROR")
    # One more if the step's request still fitted into the journal.
    assert amllog.shutdown(200).leftovers_delivered - journaled in (0, 1)


def test_file_size_limit(child: Any, received: Any, connected: Any) -> None:
    """If the disk accepts only a part of a line, only that line is refused and counted."""
    code = """
import resource, amllog
log = amllog.setup()
log.info("fits")
size = sum(path.stat().st_size for path in __import__("pathlib").Path(".amllog").glob("*.jsonl"))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, resource.RLIM_INFINITY))
log.info("torn"); log.info("not at all")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("again")
account = amllog.flush(200)
print(account.accepted, account.outlets["app_insights"].delivered, account.outlets["app_insights"].refused)
"""
    ran = child(code, env={**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.stdout == "4 2 {'journal: ENOSPC': 1, 'journal: EFBIG': 1}\n"
    assert received().messages == ["fits", "again"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk: mount is not permitted here ({done.stderr.strip()})")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk(child: Any, received: Any, connected: Any, small_disk: Path) -> None:
    """On a full disk, new records are refused and counted until there is space, and accepted records arrive."""
    code = """
import amllog, os, pathlib, sys
log = amllog.setup(driver_level="ERROR")
disk = pathlib.Path(sys.argv[1])
kept = []
for i in range(50): log.info("before %d", i)
filler = disk / "filler"
with open(filler, "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError as error:
        print(error.strerror)
for i in range(300): log.info("during %d %s", i, "x" * 500)
account = amllog.flush(200)
print("full", account.accepted, account.waiting, account.outlets["app_insights"].refused)
filler.unlink()
for i in range(50): log.info("after %d", i)
account = amllog.flush(200)
insights = account.outlets["app_insights"]
print(account.accepted, insights.delivered + insights.waiting + sum(insights.refused.values()), insights.waiting)
"""
    ran = child(code, str(small_disk), env={**connected, "AMLLOG_DIR": str(small_disk / "journal")})
    assert (ran.returncode, ran.stderr) == (0, "")
    full, counted = ran.stdout.splitlines()[-2:]
    assert "full 350 0 {'journal: ENOSPC': " in full
    assert counted == "400 400 0"
    messages = [message.split(" x")[0] for message in received().messages]
    lost = int(full.split("ENOSPC': ")[1].strip("}"))
    assert lost > 250
    assert messages == [f"before {i}" for i in range(50)] + [f"during {i}" for i in range(300 - lost)] + [
        f"after {i}" for i in range(50)
    ]


def test_files_on_a_full_disk(child: Any, azure: AzureOnThisMachine, small_disk: Path) -> None:
    """A file that does not fit on the disk is refused and counted, and no part of its copy remains."""
    code = """
import amllog
log = amllog.setup(driver_level="WARNING")
log.run.upload_file("small.txt", "small.txt")
for number in range(3):
    log.run.upload_file(f"f{number}.txt", "f.txt")
log.run.log_confusion_matrix("cm", {"data": {"text": "x" * 400_000}})
print(amllog.status().outlets["run_metrics"].refused)
print(amllog.shutdown(500).waiting)
"""
    Path("f.txt").write_bytes(b"x" * 400_000)
    Path("small.txt").write_bytes(b"small")
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(code, env={**job, "AMLLOG_DIR": str(small_disk / "journal")})
    *messages, refused, waiting = ran.stdout.splitlines()
    assert (ran.returncode, waiting) == (0, "0"), ran
    assert len([line for line in messages if "files are refused: copy of a file: ENOSPC" in line]) == 1
    assert azure.artifacts("run_1").keys() == {"small.txt"}
    assert refused == "{'copy of a file: ENOSPC': 4}"
    assert list((small_disk / "journal" / "artifacts").iterdir()) == []


def test_read_only_file_system(
    child: Any, received: Any, connected: Any, small_disk: Path, tmp_path: Path
) -> None:
    """On a read-only file system, a private temporary directory is used, and orphans are delivered."""
    messages = leave_records(child, "first", AMLLOG_DIR=str(small_disk / "journal"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    spare = tmp_path / "spare"
    spare.mkdir()
    env = {**connected, "AMLLOG_DIR": str(small_disk / "journal"), "TMPDIR": str(spare)}
    ran = child("import amllog; amllog.setup().info('m'); amllog.flush(200)", env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("no journal in") == 1
    assert received().messages == ["m"]
    ran = child([sys.executable, "-m", "amllog", "deliver", str(small_disk / "journal")], env=env)
    assert received().messages == ["m", *messages], ran.stderr


def test_clock_goes_back(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """Files with a time in the future are delivered like others."""
    messages = leave_records(child, "first")
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    journal.rename(journal.with_name("2999" + journal.name[4:]))
    deliver(azure)
    assert received().messages == messages


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_clock_jumps(child: Any, received: Any, connected: Any, jump: int) -> None:
    """If the clock jumps while a step runs, no record is lost or doubled, and durations stay correct."""
    code = """
import sys, time
real, shift = time.time, 0
time.time = lambda: real() + shift
import amllog
log = amllog.setup(driver_level="ERROR")
log.info("before")
with log.span("part"):
    shift = int(sys.argv[1])
    log.info("within")
log.info("after")
"""
    assert child(code, str(jump), env=connected).returncode == 0
    records = received()
    assert records.messages == ["before", "within", "after"] and records.duplicates == []
    durations = [
        span["duration"] for kind in ("Request", "RemoteDependency") for span in records.of_type(kind)
    ]
    assert len(durations) == 2
    assert all(duration.startswith("0.00:00:") and duration > "0.00:00:00.000000" for duration in durations)


@pytest.mark.once
def test_many_orphans(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any, tmp_path: Path
) -> None:
    """Four thousand orphans block nothing, and `amllog deliver` sends them once with few open files and requests."""
    leave_records(child, "first", 1)
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    content = journal.read_bytes()
    for number in range(4_000):
        copy = content.replace(b'"record_id":"', f'"record_id":"{number:04}-'.encode())
        journal.with_name(f"{journal.name[:-12]}{number:06x}.jsonl").write_bytes(copy)
    bounded = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    step = "import amllog; log = amllog.setup(); log.info('m'); amllog.flush(200); amllog.shutdown(0)"
    azure.faults.put(Fault(status=503))  # so that `deliver` sends everything
    assert child(bounded + step, env=connected).returncode == 0
    azure.faults.clear()
    before = len(azure.requests_log)
    ran = child(
        bounded + COMMAND_WITH_PEAK, "deliver", ".amllog", "--timeout", "120", env=connected, timeout=900
    )
    records = received()
    assert records.duplicates == [] and len(records.messages) == 4_002, ran.stderr
    assert "0 waiting" in ran.stdout.split("after:")[1]
    assert int(ran.stderr.split()[-1]) < 200_000  # kB, of which Python and requests take a quarter
    assert len(azure.requests_log) - before < 120
    status = child(bounded + COMMAND_WITH_PEAK, "status", ".amllog", env=connected)
    assert status.stdout.startswith("4003 accepted")


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "EACCES"])
def test_file_system_without_locks(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any, error: str
) -> None:
    """Without file locks, orphans of this node are delivered, and files of living processes are not."""
    without = f"""
import errno, fcntl
def flock(fd, operation): raise OSError(errno.{error}, "no locks here")
fcntl.flock = flock
"""
    stay = LEAVE_RECORDS.replace(
        "os._exit(0)", "import threading; print('logged', flush=True); threading.Event().wait()"
    )
    env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, "AMLLOG_DRIVER_LEVEL": "ERROR"}
    alive = child.start(without + stay, "alive", "3", env=env)
    assert alive.stdout.readline() == "logged\n"
    messages = leave_records(child, "dead")
    deliver_here = (
        "import sys; from amllog.cli.main import main; sys.argv[1:] = ['deliver', '.amllog']; main()"
    )
    child(without + deliver_here, env=connected)
    assert received().messages == messages
    alive.kill()
    alive.wait()
    child(without + deliver_here, env=connected)
    assert received().messages == [*messages, "alive 0", "alive 1", "alive 2"]
    assert received().duplicates == []


def test_later_setup_delivers_while_running(child: Any, azure: AzureOnThisMachine, received: Any) -> None:
    """The next process delivers orphans in the background, without a call."""
    messages = leave_records(child, "first")
    amllog.setup(connection_string=azure.connection_string)
    for _ in range(300):
        if len(received().messages) >= len(messages):
            break
        threading.Event().wait(0.1)
    assert received().messages == messages
