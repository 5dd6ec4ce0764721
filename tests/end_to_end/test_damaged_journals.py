"""Journal files that others truncate, overwrite, delete or fill: the account is correct, and nothing waits forever."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

from ..conftest import line_of_another_process  # isort: skip
from .conftest import NOWHERE, QUIET  # isort: skip

OVERWRITTEN = "another program has overwritten the record in the file"
GONE = "another program has truncated or deleted the file"
BEGIN = """
import glob, os, resource, sys, time, amllog
log = amllog.setup()
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
for i in range(20): log.info("before %d", i)
(journal,) = glob.glob(".amllog/*.jsonl")
size = os.path.getsize(journal)
way = sys.argv[1]
"""
TORN = """
if way == "truncated":
    os.truncate(journal, size - 100)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    log.info("torn")
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
began = time.monotonic()
account = amllog.flush(3000)
print(time.monotonic() - began < 1500, account.waiting, account.refused)
"""


@pytest.mark.parametrize("way", ["truncated", "written in part"])
def test_a_torn_line_is_not_waited_for(child: Any, connected: Any, way: str) -> None:
    """With a torn last line, flush() and the end of the script return once every complete line is sent."""
    began = time.monotonic()
    ran = child(BEGIN + TORN, way, env={**connected, **QUIET, "AMLLOG_GRACE_SECONDS": "3000"}, timeout=3000)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True 0 1\n", "")
    assert time.monotonic() - began < 1500


OVERWRITE = """
with open(journal, "r+b") as file:
    lines = file.readlines()
    file.seek(0)
    if way == "longer":
        file.write(b"#" * (size + 5000))
    elif way == "as long":
        file.write(b"#" * size)
    elif way == "blank lines":
        file.write(b"".join(lines[:5]))
        file.write(b"\\n" * (size - file.tell()))
    else:
        os.truncate(journal, size + 3_000_000)
for i in range(5): log.info("after %d", i)
print(amllog.flush(200).outlets["app_insights"])
"""


@pytest.mark.parametrize("way", ["longer", "as long", "blank lines", "extended"])
def test_overwritten(child: Any, connected: Any, received: Any, way: str) -> None:
    """Records that another program overwrites are refused with that reason, and later records arrive."""
    env = {**connected, **QUIET}
    ran = child(BEGIN + OVERWRITE, way, env=env)
    assert ran.returncode == 0, ran.stderr
    account, messages = ran.stdout.splitlines()[-1], received().messages
    after = [f"after {i}" for i in range(1 if way == "as long" else 0, 5)]
    assert set(after) <= set(messages)
    lost = 25 - len(messages)
    assert account.startswith(f"{len(messages)} delivered, 0 waiting, {lost} refused")
    assert lost == 0 or f"{lost} × journal: {OVERWRITTEN}" in account
    assert lost > 0 or way == "extended"


DELETED = """
os.unlink(journal)
os.closerange(3, 64)
for i in range(5): log.info("after %d", i)
for account in (amllog.flush(0.5), amllog.shutdown(0.5)):
    one = account.outlets["app_insights"]
    print(account.accepted, one.delivered, one.waiting, one.refused)
"""


def test_deleted(child: Any) -> None:
    """Waiting records of a deleted file are refused once, also if a new file has its inode."""
    ran = child(
        BEGIN + DELETED, "", env={"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE, "RANK": "1", **QUIET}
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [f"25 0 5 {{'journal: {GONE}': 20}}"] * 2


OUT_OF_REACH = """
import encodings.idna, netrc
os.mkdir("jail")
os.chroot("jail")
os.chdir("/")
os.closerange(3, 64)
for i in range(5): log.info("after %d", i)
one = amllog.shutdown(1).outlets["app_insights"]
print(one.delivered, one.waiting, one.refused)
"""


def test_out_of_reach(child: Any, connected: Any, received: Any, tmp_path: Path) -> None:
    """Records in a file outside a new root directory wait, and are delivered once from outside."""
    if sys.platform == "win32" or os.getuid():
        pytest.skip("only root can change the root directory")
    key = connected["APPLICATIONINSIGHTS_CONNECTION_STRING"].partition(";")[0]
    dead = f"{key};IngestionEndpoint=http://127.0.0.1:9"
    ran = child(
        BEGIN + OUT_OF_REACH, "", env={"APPLICATIONINSIGHTS_CONNECTION_STRING": dead, "RANK": "1", **QUIET}
    )
    assert ran.stdout.splitlines() == ["0 25 {}"], ran.stderr
    for directory in {path.parent for path in tmp_path.rglob("*.jsonl")}:
        deliver = [sys.executable, "-m", "amllog", "deliver", "--timeout", "300", str(directory)]
        assert child(deliver, env=connected).returncode == 0
    assert len(received().messages) == 25
    assert received().duplicates == []


LOST_DESCRIPTOR = """
print(amllog.flush(200))
files = resource.getrlimit(resource.RLIMIT_NOFILE)
os.closerange(3, 256)
if way == "user":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
elif way == "in the way":
    os.rename(".amllog", "moved")
    open(".amllog", "w").close()
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, files[1]))
for i in range(50): log.info("after %d", i)
resource.setrlimit(resource.RLIMIT_NOFILE, files)
account = amllog.shutdown(200)
print(account)
print(account.outlets["app_insights"])
"""


@pytest.mark.parametrize("way", ["user", "in the way", "no descriptor"])
def test_no_new_file_after_the_descriptor_was_closed(
    child: Any, connected: Any, received: Any, way: str
) -> None:
    """If the directory accepts no new file, the journal continues in the fallback directory or in memory."""
    if way == "user" and os.getuid():
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as fallback:  # another user cannot access `tmp_path`
        os.chmod(fallback, 0o1777)
        ran = child(BEGIN + LOST_DESCRIPTOR, way, env={**connected, "TMPDIR": fallback, "RANK": "1"})
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "70 delivered, 0 waiting, 0 refused", ran.stdout
    assert received().messages == [*(f"before {i}" for i in range(20)), *(f"after {i}" for i in range(50))]
    assert received().duplicates == []


def write_orphan(azure: AzureOnThisMachine, *contents: bytes) -> Path:
    """Write one file of a process that has ended."""
    path = Path(".amllog", "20260101T000000-gone-999999-0a0b00.jsonl")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(contents))
    return path


def test_millions_of_blank_lines(
    child: Any, azure: AzureOnThisMachine, received: Any, connected: Any
) -> None:
    """A file of blank lines takes seconds, not minutes, and new records do not wait for it."""
    line = line_of_another_process(azure, "left")
    write_orphan(azure, line, b"\n" * 200_000_000, line_of_another_process(azure, "behind"))
    env = {**connected, **QUIET, "AMLLOG_JOURNAL_MAX_BYTES": "1 GiB", "RANK": "1"}
    amllog = [sys.executable, "-m", "amllog"]
    assert child([*amllog, "status", ".amllog"], env=env, timeout=200).returncode == 0
    code = "import amllog; log = amllog.setup(); log.info('own'); print(amllog.flush(100).waiting)"
    assert child(code, env=env, timeout=200).stdout == "0\n"
    child([*amllog, "deliver", ".amllog", "--timeout", "100"], env=env, timeout=300)
    assert sorted(received().messages) == ["behind", "left", "own"]
