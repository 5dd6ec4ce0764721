"""A journal directory with files of others: their files and descriptors are not changed, and no record is lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.local import AzureOnThisMachine

from .conftest import COMMAND_WITH_PEAK, LEAVE_RECORDS, NOWHERE, QUIET  # isort: skip

DELIVER = [sys.executable, "-m", "amllog", "deliver"]


def leave_records(child: Any, name: str, count: int = 5, directory: str = ".amllog") -> Path:
    """Run a process that leaves records behind, and return its segment."""
    before = set(Path(directory).glob("*.jsonl"))
    env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, "AMLLOG_DIR": directory, **QUIET}
    ran = child(LEAVE_RECORDS, name, str(count), env=env)
    assert ran.returncode == 0, ran.stderr
    (segment,) = set(Path(directory).glob("*.jsonl")) - before
    return segment


def test_making_room(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """No file of the user is deleted to free space, and the user's files do not count against the limit."""
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    mine = {
        "train.jsonl": b'{"text": "a"}\n' * 1000,
        "predictions.jsonl": b'{"time":"2026-01-01T00:00:00.000000Z","y":1}\n' * 100,
        "model.bin": bytes(3 * 1024 * 1024),
        "20260101T000000-node-1-0a0b0c.jsonl": b'{"text": "named as a segment"}\n',
        "20260101T000000-node-1-0a0b0c.ack": b"named as a checkpoint\n",
        "train.ack": b"mine\n",
        "empty.jsonl": b"",
    }
    for name, content in mine.items():
        (outputs / name).write_bytes(content)
    code = """
import amllog
log = amllog.setup(journal_max_bytes="1 MiB")
for i in range(3000):
    log.info("%d %s", i, "x" * 500)
    if i % 300 == 299: amllog.flush(200)
account = amllog.flush(200)
print(account.accepted, account.waiting, account.refused)
"""
    ran = child(code, env={**connected, **QUIET, "AMLLOG_DIR": "./outputs"})
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "3000 0 0\n")
    assert {name: (outputs / name).read_bytes() for name in mine} == mine
    assert [int(message.split()[0]) for message in received().messages] == list(range(3000))
    assert child([*DELIVER, "./outputs"], env=connected).returncode == 0
    assert {name: (outputs / name).read_bytes() for name in mine} == mine


def test_making_room_without_exporters(child: Any, tmp_path: Path) -> None:
    """A process without exporters deletes only its own files, whatever the names of the user's files are."""
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    mine = {
        "20260101T000000-node-1-0a0b01.jsonl": b'{\n  "my": "JSON of several lines"\n}\n' * 50,
        "20260101T000000-node-1-0a0b02.jsonl": b"\nmy notes, first line empty\n" * 50,
        "20260101T000000-node-1-0a0b03.jsonl": b'{"time": "2026-01-01 10:00", "level": "INFO"}\n' * 50,
        "20260101T000000-my-run-2026-cafe.jsonl": b'{"time":"2026-01-01T10:00:00Z","msg":"m"}\n' * 50,
        "20260101T000000-node-1-0a0b05.jsonl": b'{"ti\nabc\n',
    }
    for name, content in mine.items():
        (outputs / name).write_bytes(content)
    code = """
import amllog
log = amllog.setup(journal_max_bytes="1 MiB", exporter="none")
for i in range(4000): log.info("%d %s", i, "x" * 500)
amllog.shutdown()
"""
    ran = child(code, env={**QUIET, "AMLLOG_DIR": "./outputs"})
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "")
    assert {name: (outputs / name).read_bytes() for name in mine} == mine
    ours = sum(path.stat().st_size for path in outputs.iterdir() if path.name not in mine)
    assert ours <= 1024**2


def test_sparse_files(child: Any, connected: Any, received: Any) -> None:
    """Sparse files do not count against the limit, are reported once, and block no other file."""
    segment = leave_records(child, "left")
    for number in range(20):
        path = segment.parent / f"20260101T000000-gone-999999-0a0b{number:02x}.jsonl"
        path.write_bytes(segment.read_bytes().replace(b"left", b"sparse"))
        os.truncate(path, 1024**3)
    code = """
import amllog
log = amllog.setup()
for i in range(40): log.info("own %d", i)
account = amllog.shutdown(200)
print(account.waiting, account.refused)
"""
    ran = child(code, env=connected)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "0 0"), ran.stderr
    assert ran.stdout.count("is not sent: has more than") == 20
    leave_records(child, "later")
    ran = child([*DELIVER, ".amllog", "--timeout", "60"], env=connected)
    assert ran.stderr.count("is not sent: has more than") == 20
    expected = [f"{name} {i}" for name in ("left", "later") for i in range(5)]
    messages = [message for message in received().messages if "is not sent" not in message]
    assert sorted(messages) == sorted([*expected, *(f"own {i}" for i in range(40))])


@pytest.mark.parametrize("place", ["link", "link/logs", "outer/logs"])
def test_links_of_another_user(child: Any, received: Any, connected: Any, tmp_path: Path, place: str) -> None:
    """Links of another user in the path of the journal directory are not followed, and nothing is lost."""
    if not hasattr(os, "getuid") or os.getuid():
        pytest.skip("only root can make a link of another user")
    spare, elsewhere = tmp_path / "spare", tmp_path / "elsewhere"
    spare.mkdir()
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "outer").symlink_to("link")
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    code = "import amllog; amllog.setup().info('m'); print(amllog.flush(200))"
    ran = child(code, env={**connected, "TMPDIR": str(spare), "AMLLOG_DIR": place})
    assert (ran.returncode, received().messages) == (0, ["m"]), ran.stderr
    assert "is a symbolic link of another user" in ran.stdout
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")
def test_links_that_are_followed(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Links of this user, and of the owner of the directory that contains them, are followed."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "own").symlink_to("theirs/link")
    (folder / "link").symlink_to(tmp_path / "target")
    if os.getuid() == 0:
        os.chown(folder, 65534, 65534)
        os.chown(folder / "link", 65534, 65534, follow_symlinks=False)
    code = "import amllog; amllog.setup().info('m'); print(amllog.flush(200))"
    ran = child(code, env={**connected, "AMLLOG_DIR": "own/logs"})
    assert (ran.returncode, received().messages) == (0, ["m"]), ran.stderr
    assert len(list((tmp_path / "target" / "logs").glob("*.jsonl"))) == 1


DESCRIPTORS = """
import os, socket, sys, amllog
log = amllog.setup(driver_level="WARNING")
for i in range(10): log.info("before %d", i)
amllog.flush(200)
way = sys.argv[1]
ours = sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2)
ours = [fd for fd in ours if os.path.exists(f"/proc/self/fd/{fd}") or way == "closerange"]
highest = ours[-1] + 1
if way == "closerange":
    os.closerange(3, highest)
    files = [open(f"mine{n}", "w+b", buffering=0) for n in range(3, highest)]
else:
    files = []
    for fd in ours:
        if "/.amllog/" in os.readlink(f"/proc/self/fd/{fd}"):
            mine = os.open(f"mine{fd}", os.O_RDWR | os.O_CREAT)
            os.dup2(mine, fd)
            os.close(mine)
            files.append(open(fd, "r+b", buffering=0, closefd=False))
assert files
for file in files: file.write(b"mine\\n")
for i in range(50): log.info("after %d", i)
account = amllog.flush(200)
print(account.accepted, account.waiting, account.refused)
amllog.shutdown()
for file in files:
    file.write(b"still mine\\n")
    file.seek(0)
    assert file.read() == b"mine\\nstill mine\\n"
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("way", ["closerange", "dup2"])
def test_descriptors(child: Any, received: Any, connected: Any, way: str) -> None:
    """If a script closes or replaces our descriptors, its files are not changed, and no record is lost."""
    ran = child(DESCRIPTORS, way, env=connected)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "60 0 0"
    # 0 if the delivery thread was first and has opened the file again.
    assert ran.stdout.count("has closed or reused the descriptor") <= 1
    assert received().messages == [*(f"before {i}" for i in range(10)), *(f"after {i}" for i in range(50))]
    assert received().duplicates == []


def test_standard_streams(child: Any, journaled: Any) -> None:
    """A journal file never gets the descriptor of a closed standard stream, to which child processes write."""
    code = """
import os, amllog
for fd in (0, 1, 2): os.close(fd)
log = amllog.setup()
log.info("m")
os.system("echo from a child process")
places = [f"/proc/self/fd/{fd}" for fd in (0, 1, 2)]
open("fds", "w").write(" ".join(os.readlink(place) for place in places if os.path.lexists(place)))
"""
    child(code)
    assert ".amllog" not in Path("fds").read_text()
    assert journaled().messages == ["m"]


def test_truncated(child: Any, received: Any, connected: Any) -> None:
    """Records that another program truncates are counted, and later ones arrive."""
    code = """
import glob, os, amllog
log = amllog.setup(driver_level="ERROR")
for i in range(10): log.info("before %d", i)
amllog.flush(200)
log.info("lost 1"); log.info("lost 2")
(journal,) = glob.glob(".amllog/*.jsonl")
os.truncate(journal, 0)
for i in range(5): log.info("after %d", i)
account = amllog.flush(200)
print(account.accepted, account.outlets["app_insights"])
"""
    # A slow endpoint prevents that the last records are sent before the truncation.
    ran = child(code, env=connected)
    assert ran.returncode == 0, ran.stderr
    account = ran.stdout.splitlines()[-1]
    messages = received().messages
    sent = [message for message in messages if message.startswith("lost")]
    assert [message for message in messages if not message.startswith("lost")] == [
        *(f"before {i}" for i in range(10)), *(f"after {i}" for i in range(5))
    ]  # fmt: skip
    lost = 2 - len(sent)
    assert account.startswith(f"17 {17 - lost} delivered, 0 waiting, {lost} refused")
    assert ("has truncated or deleted the file" in account) == bool(lost)


def plant(folder: Path, target: Path) -> list[Path]:
    """Create links, FIFOs and directories with the names of segments and checkpoints."""
    names = [f"20260101T00000{n}-gone-999999-0a0b0{n}" for n in range(6)]
    made = [folder / f"{names[0]}.jsonl", folder / f"{names[1]}.ack", folder / f"{names[5]}.jsonl"]
    for link in made:
        link.symlink_to(target)
    os.mkfifo(folder / f"{names[2]}.jsonl")
    os.mkfifo(folder / f"{names[3]}.ack")
    (folder / f"{names[4]}.jsonl").mkdir()
    return made


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_links_and_fifos(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Links in a journal directory are not followed, FIFOs do not block, and each skipped file is reported."""
    segment = leave_records(child, "left")
    lines = segment.read_bytes()
    for number in (1, 3):  # segments whose checkpoint is a link or a FIFO
        (segment.parent / f"20260101T00000{number}-gone-999999-0a0b0{number}.jsonl").write_bytes(
            lines.replace(b"left", b"skipped")
        )
    target = tmp_path / "target"
    target.write_bytes(lines.replace(b"left", b"followed"))
    before = target.read_bytes()
    planted = plant(segment.parent, target)
    ran = child([*DELIVER, ".amllog", "--timeout", "200"], env=connected, timeout=900)
    assert received().messages == [f"left {i}" for i in range(5)], ran.stderr
    assert ran.stderr.count("is not sent") == 6
    for word in ("is a symbolic link", "is not a regular file"):
        assert word in ran.stderr
    env = {**connected, **QUIET, "AMLLOG_JOURNAL_MAX_BYTES": "1 MiB"}
    code = (
        "import amllog; log = amllog.setup(); [log.info('x' * 500) for _ in range(3000)]; amllog.flush(200)"
    )
    assert child(code, env=env, timeout=900).returncode == 0
    assert child(
        [sys.executable, "-m", "amllog", "status", ".amllog"], env=connected, timeout=900
    ).returncode in (0, 1)
    assert target.read_bytes() == before
    assert all(link.is_symlink() for link in planted)


def test_private_fallback(child: Any, connected: Any, received: Any, tmp_path: Path) -> None:
    """The fallback directory is never a link or a directory of another user."""
    (tmp_path / ".amllog").write_text("in the way")
    spare, elsewhere = tmp_path / "spare", tmp_path / "elsewhere"
    spare.mkdir()
    elsewhere.mkdir()
    (spare / f"amllog-{os.getuid()}").symlink_to(elsewhere)
    code = "import amllog; amllog.setup().info('m'); print(amllog.flush(200))"
    ran = child(code, env={**connected, "TMPDIR": str(spare)})
    assert (ran.returncode, received().messages) == (0, ["m"]), ran.stderr
    assert list(elsewhere.iterdir()) == []
    (journaled,) = [path for path in spare.rglob("*.jsonl") if not path.is_symlink()]
    assert stat.S_IMODE(journaled.parent.stat().st_mode) == 0o700


HOSTILE = [
    b'{"outlet":"app_insights","to":1e999,"delivered":1}\n',
    b'{"outlet":"app_insights","to":' + b"9" * 5000 + b',"delivered":1}\n',
    b'{"outlet":"app_insights","to":' + b"[" * 100_000 + b"]" * 100_000 + b',"delivered":1}\n',
    b'{"outlet":"app_insights","to":0,"delivered":0,"again":[-5,1e400,"x"]}\n',
    b'{"outlet":"app_insights","to":0,"delivered":-1,"refused":{"x":{"y":[]}}}\n',
    b'{"outlet":{"a":[]},"to":5,"delivered":true}\n',
    b'{"outlet":"app_insights","to":5000,"delivered":0,"again":[' + b"0," * 1000 + b"0]}\n",
]


FIRST = b'{"outlet":"app_insights","to":0,"delivered":0}\n'


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_checkpoints(child: Any, azure: AzureOnThisMachine, received: Any, content: bytes) -> None:
    """A checkpoint with any content does not end the worker, and its segment and the others are sent."""
    segment = leave_records(child, "first")
    segment.with_suffix(".ack").write_bytes(FIRST + content)
    leave_records(child, "second")
    amllog.setup(connection_string=azure.connection_string, driver_level="ERROR").info("own")
    account = amllog.shutdown(200)
    expected = [f"{name} {i}" for name in ("first", "second") for i in range(5)]
    assert sorted(received().messages) == sorted(["own", *expected])
    assert account.waiting == 0


def test_hostile_segments(child: Any, connected: Any, received: Any, tmp_path: Path) -> None:
    """Sparse files and endless lines take limited memory, and only they are not sent."""
    segment = leave_records(child, "left")
    lines = segment.read_bytes()
    for number, size in ((1, 8 * 1024**3), (2, 900 * 1024**2)):
        path = segment.parent / f"20260101T00000{number}-gone-999999-0a0b0{number}.jsonl"
        path.write_bytes(lines.replace(b"left", b"sparse"))
        os.truncate(path, size)
    with open(segment.parent / "20260101T000003-gone-999999-0a0b03.jsonl", "wb") as file:
        file.write(lines.replace(b"left", b"long") + b'{"time":"' + b"x" * 50_000_000 + b'"}\n')
        file.write(lines.replace(b"left", b"behind"))
    ran = child(COMMAND_WITH_PEAK, "deliver", ".amllog", "--timeout", "120", env=connected, timeout=900)
    expected = [f"{name} {i}" for name in ("behind", "left", "long") for i in range(5)]
    assert sorted(received().messages) == expected, ran.stderr
    assert ran.stderr.count("is not sent: has more than") == 2
    assert int(ran.stderr.split()[-1]) < 400_000  # kB, of which Python and its packages take a quarter


CHECKPOINT_NOT_WRITABLE = """
import os, pathlib, sys, amllog
log = amllog.setup(driver_level="ERROR")
for i in range(20): log.info("m %d", i)
way = sys.argv[1]
if way == "renamed":
    os.rename(".amllog", "moved")
elif way == "user":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
elif way == "directory":
    (journal,) = pathlib.Path(".amllog").glob("*.jsonl")
    journal.with_suffix(".ack").unlink(missing_ok=True)
    journal.with_suffix(".ack").mkdir()
account = amllog.flush(200)
print(account.outlets["app_insights"], flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("way", ["renamed", "user"])
def test_checkpoints_that_cannot_be_written(
    child: Any, connected: Any, received: Any, way: str, tmp_path: Path
) -> None:
    """A checkpoint is written although its directory is renamed or its process changes the user."""
    if way == "user" and os.getuid():
        pytest.skip("only root can become another user")
    env = {**connected, "TMPDIR": str(tmp_path)}
    ran = child(CHECKPOINT_NOT_WRITABLE, way, env=env)
    assert ran.stdout.splitlines()[-1] == "20 delivered, 0 waiting, 0 refused", ran.stderr
    directory = "moved" if way == "renamed" else ".amllog"
    child([*DELIVER, directory], env=env)
    assert len(received().messages) == 20
    assert received().duplicates == []


NO_ROOM_AT_FIRST = """
import os, pathlib, resource, time, amllog
log = amllog.setup()
for i in range(20): log.info("m %d", i)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
print(amllog.flush(200).outlets["app_insights"], flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
(checkpoint,) = pathlib.Path(".amllog").glob("*.ack")
deadline = time.monotonic() + 200
while '"delivered": 20' not in checkpoint.read_text() and time.monotonic() < deadline: time.sleep(0.05)
os._exit(0)
"""
DELIVER_WITHOUT_ROOM = """
import resource, sys
from amllog.cli.main import main
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
sys.argv[1:] = ["deliver", ".amllog", "--timeout", "200"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_entries_that_cannot_be_written(child: Any, connected: Any, received: Any) -> None:
    """If no file accepts an entry, the process reports it, and writes the entry as soon as there is space."""
    ran = child(NO_ROOM_AT_FIRST, env=connected)
    assert "20 delivered, 0 waiting, 0 refused" in ran.stdout, ran.stderr
    assert ran.stdout.count("cannot record what was sent (File too large), so it may be sent twice") == 1
    assert child([*DELIVER, ".amllog"], env=connected).returncode == 0
    assert len(received().messages) == 20
    segment = leave_records(child, "left")
    ran = child(DELIVER_WITHOUT_ROOM, env=connected)
    sentence = "cannot record what was sent (File too large), so it may be sent twice"
    assert ran.stderr.count(f"{segment.with_suffix('.ack')}: {sentence}") == 1


CHANGED = """
import os, pathlib, sys, amllog
log = amllog.setup(driver_level="ERROR")
for i in range(20): log.info("m %d", i)
amllog.flush(200)
(checkpoint,) = pathlib.Path(".amllog").glob("*.ack")
if sys.argv[1] == "deleted":
    checkpoint.unlink()
elif sys.argv[1] == "moved":
    checkpoint.rename("elsewhere")
else:
    os.truncate(checkpoint, 0)
for i in range(20, 40): log.info("m %d", i)
print(amllog.flush(200).outlets["app_insights"], flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("way", ["deleted", "moved", "truncated"])
def test_checkpoints_that_others_delete(child: Any, connected: Any, received: Any, way: str) -> None:
    """A checkpoint that is deleted, moved or truncated while the process runs is written again completely."""
    ran = child(CHANGED, way, env=connected)
    assert ran.stdout.splitlines()[-1] == "40 delivered, 0 waiting, 0 refused", ran.stderr
    ran = child([*DELIVER, ".amllog"], env=connected)
    assert "after:  40 accepted" in ran.stdout and "40 delivered" in ran.stdout
    assert len(received().messages) == 40
    assert received().duplicates == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a small file system")
@pytest.mark.parametrize("place", ["elsewhere", "on the same disk", "another one later"])
def test_checkpoints_on_a_full_disk(
    child: Any, connected: Any, received: Any, tmp_path: Path, place: str
) -> None:
    """Records that are delivered while the disk is full are not sent again, also after a kill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk: mount is not permitted here ({done.stderr.strip()})")
    code = """
import os, sys, amllog
log = amllog.setup(driver_level="ERROR")
for i in range(20): log.info("m %d", i)
try:
    with open(sys.argv[1], "wb", buffering=0) as file:
        while file.write(b"x" * 512): pass
except OSError: pass
print(amllog.flush(200).outlets["app_insights"], flush=True)
os._exit(0)
"""
    fallback = disk / "spare" if place == "on the same disk" else tmp_path / "spare"
    fallback.mkdir()
    env = {**connected, "AMLLOG_DIR": str(disk / "journal"), "TMPDIR": str(fallback)}
    try:
        ran = child(code, str(disk / "filler"), env=env)
        assert ran.stdout.splitlines()[-1] == "20 delivered, 0 waiting, 0 refused", ran.stderr
        if place == "another one later":
            (tmp_path / "another").mkdir()
            env["TMPDIR"] = str(tmp_path / "another")
        for _ in range(2):
            child([*DELIVER, str(disk / "journal")], env=env)
            (disk / "filler").unlink(missing_ok=True)
            child("import amllog; amllog.setup(driver_level='ERROR')", env=env)
        assert len(received().messages) == 20
        assert received().duplicates == []
        assert list(fallback.rglob("*.ack")) == []  # copied to its place when there was space
        (segment,) = [path for path in (disk / "journal").glob("*.jsonl") if b'"m 0"' in path.read_bytes()]
        entries = [json.loads(line) for line in segment.with_suffix(".ack").read_bytes().splitlines()]
        assert sum(entry["delivered"] for entry in entries if entry["outlet"] == "app_insights") == 20
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


UMASK = """
import os, sys, amllog
amllog.setup(directory="first", driver_level="ERROR").info("imports everything")
amllog.shutdown(1)
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.umask(int(sys.argv[1], 8))
log = amllog.setup(directory=sys.argv[2], driver_level="ERROR")
for i in range(3): log.info("m %d", i)
account = amllog.shutdown(0)
print(account.directory, account.accepted, account.refused)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a umask")
@pytest.mark.parametrize("umask", ["0277", "0377", "0777"])
def test_umask(child: Any, connected: Any, received: Any, umask: str) -> None:
    """With a umask that removes permissions of the user, the journal is written and delivered."""
    with tempfile.TemporaryDirectory() as above:  # another user cannot access `tmp_path`
        os.chmod(above, 0o1777)
        key = connected["APPLICATIONINSIGHTS_CONNECTION_STRING"].partition(";")[0]
        dead = f"{key};IngestionEndpoint=http://127.0.0.1:9"
        env = {"APPLICATIONINSIGHTS_CONNECTION_STRING": dead, "RANK": "1", "TMPDIR": above}
        for directory in (f"{above}/one/two", "/dev/null"):
            ran = child(UMASK, umask, directory, env=env, cwd=Path(above), flags=["-B"])
            assert ran.returncode == 0, ran.stderr
            place, accepted, refused = ran.stdout.split()[-3:]
            assert (accepted, refused) == ("3", "0")
            files = [*Path(place).glob("*.jsonl"), *Path(place).glob("*.ack")]
            assert files and {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert Path(place).stat().st_mode & 0o777 == 0o700
            assert child([*DELIVER, place], env={**connected, "TMPDIR": above}).returncode == 0
        assert len(list(Path(above).iterdir())) == 3
    assert sorted(received().messages) == sorted(2 * ["m 0", "m 1", "m 2"])


NO_FILE = """
import resource, tempfile
from pathlib import Path
from amllog.journal.new_segment import NoSegment, create_in_first

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
try:
    create_in_first([lambda: Path("named"), lambda: Path(tempfile.mkdtemp(dir="."))], "n", lambda text: None)
except NoSegment:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(sorted(path.name for path in Path().iterdir()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_no_empty_temporary_directory(child: Any, tmp_path: Path) -> None:
    """A temporary directory in which no file can be created is deleted again."""
    folder = tmp_path / "empty"
    folder.mkdir()
    ran = child(NO_FILE, cwd=folder)
    assert ran.stdout == "['named']\n", ran.stderr


CLOSING = """
import os, threading, time
import amllog
log = amllog.setup()
counts, done = [0] * 4, []

def work(thread):
    while not done:
        log.info("%d %d", thread, counts[thread])
        counts[thread] += 1

threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for _ in range(300):
    os.closerange(3, 64)
    time.sleep(0.01)
done.append(True)
for thread in threads: thread.join()
log.info("the end")
print(sum(counts) + 1)
"""


def test_descriptors_closed_beside_threads_that_log(child: Any) -> None:
    """If descriptors are closed at any moment of a log call, no record is lost, and the directory stays."""
    ran = child(CLOSING, env={"AMLLOG_EXPORTER": "none", **QUIET})
    assert (ran.returncode, "no journal in" in ran.stderr) == (0, False), ran.stderr
    journaled = sum(path.read_bytes().count(b'.Message"') for path in Path(".amllog").glob("*.jsonl"))
    assert journaled == int(ran.stdout)


REPLACED_WHILE_MARKED = """
import os
from amllog.process.descriptors import F_GETSIG, fcntl
from amllog.journal.directory import create_segment
from pathlib import Path

segment = create_segment(Path(".amllog"), "n")
mine = os.open("mine", os.O_CREAT | os.O_RDWR | os.O_APPEND)
os.dup2(mine, segment.fd)  # as another thread may do, just before the segment is marked
segment.mark()
print(fcntl(mine, F_GETSIG), segment.size_to_append())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="marks are Linux's")
def test_no_file_of_the_script_is_marked(child: Any) -> None:
    """A file that replaces the descriptor of a new segment before its mark is not marked."""
    assert child(REPLACED_WHILE_MARKED).stdout == "0 -1\n"
