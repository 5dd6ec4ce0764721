"""What waits on disk: read-only, removed, torn, full and shared directories; what is left there arrives once."""

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

NOWHERE = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
LEAVE = """
import sys, os, amllog
log = amllog.setup()
for i in range(int(sys.argv[2])):
    log.info("%s %d", sys.argv[1], i)
os._exit(0)
"""


def leave(child: Any, name: str, count: int = 20, **env: str) -> list[str]:
    """A process that leaves records behind; what it said."""
    ran = child(LEAVE, name, str(count), env={"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, **env})
    assert ran.returncode == 0, ran.stderr
    return [f"{name} {i}" for i in range(count)]


def deliver(azure: AzureOnThisMachine, seconds: float = 30) -> amllog.Account:
    """What the next setup() on the directory does."""
    amllog.setup(connection_string=azure.connection_string)
    return amllog.shutdown(timeout=seconds)


def test_private(child: Any, tmp_path: Path) -> None:
    """The journal is its user's alone: folder 0700, files 0600, whatever the umask."""
    for umask in (0, 0o077):
        child(
            f"import os; os.umask({umask})\n" + LEAVE,
            "m",
            "1",
            env={"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE},
        )
        child(f"import os, amllog; os.umask({umask}); amllog.setup().info('m'); amllog.flush(1)")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / ".amllog").iterdir()}
    assert (stat.S_IMODE((tmp_path / ".amllog").stat().st_mode), modes) == (0o700, {0o600})


def test_torn(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """Torn, corrupt, empty and foreign lines and files cost only themselves, and keep no file waiting for ever."""
    said = leave(child, "first")
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
    good = [one for number, one in enumerate(said) if number not in (3, 5, 7, 9, 19)]
    assert received().messages == good
    assert account.leftovers_delivered == len(good)
    assert deliver(azure).leftovers_delivered == 0
    assert received().messages == good


def test_torn_acknowledgement(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """An acknowledgement that a kill tore is as if it had not been written, and does not spoil the next one."""
    said = leave(child, "first")
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    journal.with_suffix(".ack").write_bytes(b'{"outlet":"app_insights","to":')
    for _ in range(3):
        deliver(azure)
    assert received().messages == said


def test_two_at_once(child: Any, azure: AzureOnThisMachine, connected: Any, received: Any) -> None:
    """Two processes on one directory write files of their own, and what others left is sent by one of them."""
    said = [one for name in "abcde" for one in leave(child, name, 200)]
    azure.faults.put(Fault(seconds=0.1))
    code = "import amllog, sys; log = amllog.setup(); [log.info('%s %d', sys.argv[1], i) for i in range(50)]"
    env = {**connected, "AMLLOG_DRIVER_LEVEL": "ERROR"}
    running = [child.start(code, name, env=env) for name in ("x", "y", "z")]
    for process in running:
        assert process.wait(600) == 0
    azure.faults.clear()
    deliver(azure)
    found = received()
    live = [f"{name} {i}" for name in "xyz" for i in range(50)]
    assert sorted(found.messages) == sorted(said + live)
    assert found.duplicates == []


def test_read_only_folder(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Where the working directory cannot be written, a private temporary one is used, said once; nothing is lost."""
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
    """With no directory at all, the driver log goes on, nothing is raised, and the account tells of each record."""
    (tmp_path / ".amllog").write_text("in the way")
    (tmp_path / "spare").write_text("in the way")
    code = "import amllog; log = amllog.setup(); log.info('one'); log.info('two'); print(amllog.flush(5))"
    ran = child(
        code, env={**connected, "TMPDIR": str(tmp_path / "spare"), "TMP": "/dev/null", "TEMP": "/dev/null"}
    )
    assert ran.returncode == 0, ran.stderr
    assert "one" in ran.stdout and "two" in ran.stdout


def test_removed_folder(child: Any, received: Any, connected: Any) -> None:
    """A directory that is removed while the process runs raises nothing, and what was accepted still arrives."""
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
    said = [one.split(" x")[0] for one in received().messages]
    assert said == ["before", *(f"after {i}" for i in range(400))]
    assert "sum 401 401 0" in ran.stdout


def test_quota(child: Any, azure: AzureOnThisMachine, connected: Any, received: Any, tmp_path: Path) -> None:
    """The directory keeps its bound: delivered files make room; where nothing is delivered, new records are refused
    with that reason, and counted."""
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
    assert [int(one.split()[0]) for one in received().messages] == list(range(5000))
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
    assert amllog.shutdown(200).leftovers_delivered - journaled in (
        0,
        1,
    )  # the step's request, where it still fitted


def test_file_size_limit(child: Any, received: Any, connected: Any) -> None:
    """A disk that takes only a part of a line costs that line alone, which is counted, and not the next ones."""
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
    """A file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk: mount is not permitted here ({done.stderr.strip()})")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk(child: Any, received: Any, connected: Any, small_disk: Path) -> None:
    """A disk that is full costs what is logged meanwhile, which is counted; what was accepted arrives, and with room
    again the same process goes on."""
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
    said = [one.split(" x")[0] for one in received().messages]
    lost = int(full.split("ENOSPC': ")[1].strip("}"))
    assert lost > 250
    assert said == [f"before {i}" for i in range(50)] + [f"during {i}" for i in range(300 - lost)] + [
        f"after {i}" for i in range(50)
    ]


def test_files_on_a_full_disk(child: Any, azure: AzureOnThisMachine, small_disk: Path) -> None:
    """A file that the disk does not take is refused and counted, and leaves nothing; the script goes on."""
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
    *said, refused, waiting = ran.stdout.splitlines()
    assert (ran.returncode, waiting) == (0, "0"), ran
    assert len([line for line in said if "files are refused: copy of a file: ENOSPC" in line]) == 1
    assert azure.artifacts("run_1").keys() == {"small.txt"}
    assert refused == "{'copy of a file: ENOSPC': 4}"
    assert list((small_disk / "journal" / "artifacts").iterdir()) == []


def test_read_only_file_system(
    child: Any, received: Any, connected: Any, small_disk: Path, tmp_path: Path
) -> None:
    """On a read-only file system, a private temporary directory is used; leftovers that lie there are delivered."""
    said = leave(child, "first", AMLLOG_DIR=str(small_disk / "journal"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    spare = tmp_path / "spare"
    spare.mkdir()
    env = {**connected, "AMLLOG_DIR": str(small_disk / "journal"), "TMPDIR": str(spare)}
    ran = child("import amllog; amllog.setup().info('m'); amllog.flush(200)", env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("no journal in") == 1
    assert received().messages == ["m"]
    ran = child([sys.executable, "-m", "amllog", "deliver", str(small_disk / "journal")], env=env)
    assert received().messages == ["m", *said], ran.stderr


def test_clock_goes_back(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path) -> None:
    """Files with names from the future are delivered like any other."""
    said = leave(child, "first")
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    journal.rename(journal.with_name("2999" + journal.name[4:]))
    deliver(azure)
    assert received().messages == said


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_clock_jumps(child: Any, received: Any, connected: Any, jump: int) -> None:
    """A clock that is set back or forward while a step runs loses and doubles nothing, and no duration becomes
    negative or hours long."""
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
    found = received()
    assert found.messages == ["before", "within", "after"] and found.duplicates == []
    durations = [one["duration"] for kind in ("Request", "RemoteDependency") for one in found.of_type(kind)]
    assert len(durations) == 2
    assert all(one.startswith("0.00:00:") and one > "0.00:00:00.000000" for one in durations)


def test_many_leftovers(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any, tmp_path: Path
) -> None:
    """Ten thousand files that others left hold up nobody, and `amllog deliver` sends them all, once, with few files
    open, little memory and few requests."""
    leave(child, "first", 1)
    (journal,) = (tmp_path / ".amllog").glob("*.jsonl")
    content = journal.read_bytes()
    for number in range(10_000):
        copy = content.replace(b'"record_id":"', f'"record_id":"{number:04}-'.encode())
        journal.with_name(f"{journal.name[:-12]}{number:06x}.jsonl").write_bytes(copy)
    bounded = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    step = "import amllog; log = amllog.setup(); log.info('m'); amllog.flush(200); amllog.shutdown(0)"
    azure.faults.put(Fault(status=503))  # so that all is left for `deliver`
    assert child(bounded + step, env=connected).returncode == 0
    azure.faults.clear()
    before = len(azure.requests_log)
    command = """
import sys
from amllog.cli.main import main
sys.argv[1:] = ["deliver", ".amllog", "--timeout", "120"]
try:
    main()
finally:
    # Not getrusage: a process begins with the greatest size of the one that started it.
    print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""
    ran = child(bounded + command, env=connected, timeout=900)
    found = received()
    assert found.duplicates == [] and len(found.messages) == 10_002, ran.stderr
    assert "0 waiting" in ran.stdout.split("after:")[1]
    assert int(ran.stderr.split()[-1]) < 200_000  # kB; Python and requests alone take a quarter of it
    assert len(azure.requests_log) - before < 300
    told = child(
        bounded + command.replace('"deliver", ".amllog", "--timeout", "120"', '"status", ".amllog"'),
        env=connected,
    )
    assert told.stdout.startswith("10003 accepted")


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "EACCES"])
def test_file_system_without_locks(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any, error: str
) -> None:
    """Where the file system has no locks, a living process's file is left alone, and what a dead one left on this node
    is delivered."""
    without = f"""
import errno, fcntl
def flock(fd, operation): raise OSError(errno.{error}, "no locks here")
fcntl.flock = flock
"""
    stay = LEAVE.replace(
        "os._exit(0)", "import threading; print('said', flush=True); threading.Event().wait()"
    )
    env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, "AMLLOG_DRIVER_LEVEL": "ERROR"}
    alive = child.start(without + stay, "alive", "3", env=env)
    assert alive.stdout.readline() == "said\n"
    said = leave(child, "dead")
    deliver_here = (
        "import sys; from amllog.cli.main import main; sys.argv[1:] = ['deliver', '.amllog']; main()"
    )
    child(without + deliver_here, env=connected)
    assert received().messages == said
    alive.kill()
    alive.wait()
    child(without + deliver_here, env=connected)
    assert received().messages == [*said, "alive 0", "alive 1", "alive 2"]
    assert received().duplicates == []


def test_later_setup_delivers_while_running(child: Any, azure: AzureOnThisMachine, received: Any) -> None:
    """Leftovers are delivered in the background of the next process, without anybody's asking."""
    said = leave(child, "first")
    amllog.setup(connection_string=azure.connection_string)
    for _ in range(300):
        if len(received().messages) >= len(said):
            break
        threading.Event().wait(0.1)
    assert received().messages == said
