"""Journal files that others rename, delete or replace during writing: nothing is lost or sent twice."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

DELIVER = [sys.executable, "-m", "amllog", "deliver", "--timeout", "300", ".amllog"]
BEGIN = """
import glob, os, shutil, sys, time, amllog
log = amllog.setup()
for i in range(5): log.info("before %d", i)
if sys.argv[2:] == ["sent"]: print(amllog.flush(300).waiting)
(journal,) = glob.glob(".amllog/*.jsonl")
def rewrite(path, change):
    lines = open(path).read().splitlines(keepends=True)
    open(path + "x", "w").writelines(change(lines))
    os.replace(path + "x", path)
def rotate():
    os.rename(journal, journal + ".1")
    open(journal, "w").close()
other = journal[:-9] + "abcd.jsonl"
ways = {
    "deleted": lambda: os.unlink(journal),
    "both deleted": lambda: [os.unlink(one) for one in glob.glob(journal[:-5] + "*")],
    "renamed": lambda: os.rename(journal, journal + ".1"),
    "rotated": rotate,
    "copied": lambda: rewrite(journal, list),
    "made longer": lambda: rewrite(journal, lambda all: [one.replace("before", "before, " + "x" * 90) for one in all]),
    "made shorter": lambda: rewrite(journal, lambda all: [one.replace("before", "b") for one in all]),
    "a line deleted": lambda: rewrite(journal, lambda lines: lines[:2] + lines[3:]),
    "another name": lambda: os.rename(journal, other),
    "linked": lambda: (os.link(journal, other), os.unlink(journal)),
    "directory": lambda: (os.mkdir("moved"), os.rename(journal, "moved/" + os.path.basename(journal))),
}
ways[sys.argv[1]]()
"""
WAYS = [
    "deleted", "both deleted", "renamed", "rotated", "copied", "made longer", "made shorter", "a line deleted",
    "another name", "linked", "directory",
]  # fmt: skip
MORE = """
for i in range(5): log.info("after %d", i)
"""
END = """
account = amllog.shutdown(1)
one = account.outlets["app_insights"]
print(account.accepted, one.delivered, one.waiting, sum(one.refused.values()))
"""
KILLED = """
amllog.flush(1)
log.info("after 4")
os._exit(0)
"""
numbers = [f"{when} {i}" for when in ("before", "after") for i in range(5)]


def numbered(messages: list[str]) -> list[str]:
    """Return the records of the script, without the changes by other programs."""
    shortened = (message.replace(", " + "x" * 90, "") for message in messages)
    restored = ("before" + text[1:] if text[:2] == "b " else text for text in shortened)
    return sorted(text for text in restored if text[-1].isdigit())


def unreachable(connected: dict[str, str]) -> dict[str, str]:
    """Return the environment with the same key and an unreachable endpoint."""
    key = connected["APPLICATIONINSIGHTS_CONNECTION_STRING"].partition(";")[0]
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"{key};IngestionEndpoint=http://127.0.0.1:9",
        "RANK": "1",
    }


def deliver(child: Any, env: dict[str, str], way: str) -> None:
    """Send the records that the process left."""
    child([*DELIVER[:-1], "moved"] if way == "directory" else DELIVER, env=env)
    child(DELIVER, env=env)


@pytest.mark.parametrize(
    ("way", "more"), [*((way, True) for way in WAYS), ("deleted", False), ("copied", False)]
)
def test_before_anything_is_sent(child: Any, connected: Any, received: Any, way: str, more: bool) -> None:
    """Waiting records in a file that others rename, delete or replace are delivered later, once."""
    ran = child(BEGIN + (MORE if more else "") + END, way, env=unreachable(connected))
    assert ran.returncode == 0, ran.stderr
    accepted = 10 if more else 5
    assert ran.stdout.splitlines()[-1] == f"{accepted} 0 {accepted} 0"
    assert ran.stdout.count("the journal file") == 1
    directory = "moved" if way == "directory" else ".amllog"
    status = json.loads(child([sys.executable, "-m", "amllog", "status", "--json", directory]).stdout)
    assert (status["accepted"], status["waiting"], status["refused"]) == (accepted, accepted, 0)
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers[:accepted])
    assert received().duplicates == []


@pytest.mark.parametrize("way", WAYS)
def test_killed_after_a_check(child: Any, connected: Any, received: Any, way: str) -> None:
    """Once the process has noticed the change, a kill loses nothing."""
    ran = child(BEGIN + MORE.replace("5", "4") + KILLED, way, env=unreachable(connected))
    assert ran.returncode == 0, ran.stderr
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


@pytest.mark.parametrize("end", [END, "amllog.flush(1); os._exit(0)"])
@pytest.mark.parametrize("way", WAYS)
def test_after_records_are_sent(child: Any, connected: Any, received: Any, way: str, end: str) -> None:
    """Records that were sent before the file changed are not sent again, and the others arrive."""
    end = end.replace("(1)", "(300)")
    ran = child(BEGIN + MORE + end, way, "sent", env={**connected, "RANK": "1"})
    assert ran.returncode == 0, ran.stderr
    if "account" in end:
        assert ran.stdout.splitlines()[-1] == "10 10 0 0"
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


NOTICED = """
def kept():
    text = "".join(open(path).read() for path in glob.glob(".amllog/*.jsonl"))
    return sum(f'"{word} {number}"' in text for word in ("before", "after") for number in range(5))

deadline = time.monotonic() + 600
while kept() < 10 and time.monotonic() < deadline: time.sleep(0.02)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("way", ["deleted", "renamed", "copied"])
def test_noticed_by_the_worker(child: Any, connected: Any, received: Any, way: str) -> None:
    """The worker notices the change without flush(), and a kill after that loses nothing."""
    code = BEGIN + MORE + NOTICED
    child(code, way, env=unreachable(connected))
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


@pytest.mark.parametrize("way", WAYS)
def test_without_exporters(child: Any, connected: Any, received: Any, way: str) -> None:
    """A process that delivers nothing itself checks at its end, and its records arrive once later."""
    ran = child(BEGIN + MORE + "print(amllog.shutdown().accepted)", way, env={"RANK": "1"})
    assert ran.stdout.splitlines()[-1] == "10", ran.stderr
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


RENAMED_BACK = """
amllog.flush(1)
os.rename(journal + ".1", journal)
account = amllog.shutdown(1)
print(account.accepted, account.waiting)
"""


def test_renamed_back(child: Any, connected: Any, received: Any) -> None:
    """A file that gets its name back after the process has noticed is not sent beside its copy."""
    ran = child(BEGIN + MORE + RENAMED_BACK, "renamed", env=unreachable(connected))
    assert ran.stdout.splitlines()[-1] == "10 10", ran.stderr
    deliver(child, connected, "")
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


SENT_BY_ANOTHER = """
import subprocess
command = [sys.executable, "-m", "amllog", "deliver", "--timeout", "300", ".amllog"]
subprocess.run(command, env={**os.environ, **eval(sys.argv[2])})
"""


@pytest.mark.parametrize("way", ["copied", "made longer", "made shorter", "a line deleted"])
def test_sent_by_another_process_first(child: Any, connected: Any, received: Any, way: str) -> None:
    """Records that another process has sent from the replaced file are not sent again."""
    ran = child(
        BEGIN + MORE + SENT_BY_ANOTHER + "print(amllog.shutdown().accepted)",
        way,
        repr(connected),
        env={"RANK": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    deliver(child, connected, way)
    assert numbered(received().messages) == sorted(numbers)
    assert received().duplicates == []


FORMER = """
import glob, os, amllog
log = amllog.setup(journal_max_bytes="2 MiB")
for i in range(600): log.info("m %d %s", i, "x" * 500)
first = sorted(glob.glob(".amllog/*.jsonl"), key=os.path.getmtime)[0]
os.unlink(first)
account = amllog.shutdown(1)
print(account.accepted, account.waiting, account.refused)
"""


def test_a_former_file(child: Any, connected: Any, received: Any) -> None:
    """Waiting records in one of several files are kept as well."""
    ran = child(FORMER, env={**unreachable(connected), "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert ran.stdout.splitlines()[-1] == "600 600 0", ran.stderr
    deliver(child, connected, "")
    assert len([message for message in received().messages if message.startswith("m ")]) == 600
    assert received().duplicates == []


NO_NEW_FILE = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for account in (amllog.flush(1), amllog.shutdown(1)):
    one = account.outlets["app_insights"]
    print(account.accepted, one.delivered, one.waiting, one.refused)
"""


def test_no_new_file(child: Any, connected: Any) -> None:
    """If no new file can be written, the waiting records of a deleted file are refused at the end."""
    ran = child(
        BEGIN + NO_NEW_FILE, "deleted", env={**unreachable(connected), "AMLLOG_DRIVER_LEVEL": "ERROR"}
    )
    gone = "journal: another program has truncated or deleted the file"
    assert ran.stdout.splitlines()[-2:] == ["5 0 5 {}", f"5 0 0 {{'{gone}': 5}}"], ran.stderr


REPEATEDLY = """
import glob, os, shutil, sys, threading, amllog
log = amllog.setup(driver_level="ERROR", journal_max_bytes="1 GiB")
done = threading.Event()
def work(who):
    for number in range(3000): log.info("%d %d", who, number)
def harm():
    number = 0
    while not done.wait(0.01):
        for path in glob.glob(".amllog/*.jsonl"):
            number += 1
            if number % 4 == 0: os.unlink(path)
            elif number % 4 == 1: os.rename(path, path + f".{number}")
            elif number % 4 == 2: shutil.copy(path, "copy"); os.replace("copy", path)
            else: os.rename(path, path[:-12] + f"{number:06x}.jsonl")
harming = threading.Thread(target=harm)
threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
harming.start()
for thread in threads: thread.start()
for thread in threads: thread.join()
done.set()
harming.join()
account = amllog.shutdown(600)
one = account.outlets["app_insights"]
print(one.delivered, one.waiting, one.refused)
"""


def test_repeatedly(child: Any, connected: Any, received: Any) -> None:
    """Files that are changed again and again while threads write to them lose no record."""
    ran = child(REPEATEDLY, env={**connected, "RANK": "1"})
    assert ran.returncode == 0, ran.stderr
    child(DELIVER, env=connected)
    messages = received().messages
    assert set(messages) >= {f"{who} {number}" for who in range(4) for number in range(3000)}, ran.stdout
