"""A journal file beside others who read, note and remove at the same time: other threads, other processes."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.journal import Journal

LINE = b'{"time":"2026-11-22T20:52:35.123456Z","x":1}\n'
KEYED = LINE.replace(b'"x"', b'"iKey":"abc","x"')

# A lease holds every open() of the file up in the system, where the file is found already but not open yet.
CLAIM = """
import fcntl, os, signal, threading
from pathlib import Path
from amllog.directory import claim
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
path = Path("x.jsonl").absolute()
path.write_bytes(b'{"time":"1"}\\n')
fd = os.open(path, os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
found = []
thread = threading.Thread(target=lambda: found.append(claim(path, "n")))
thread.start()
signal.sigwait({signal.SIGIO})
path.unlink()
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
thread.join()
print(found)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal in a folder of its own."""
    return Journal(tmp_path / "journal", max_bytes=1024**2, node="n", outlets=["a"])


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_removed_while_it_is_claimed(child: Any) -> None:
    """A file that its holder removes while it is being opened is no leftover: what was noted of it is gone as well."""
    ran = child(CLAIM)
    assert (ran.stdout, ran.stderr) == ("[None]\n", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that takes nothing for a while")
def test_settled_once_it_is_noted(journal: Journal) -> None:
    """Who waits for the end of a batch may end the process then: it is on disk by that time."""
    journal.append(LINE)
    (segment,) = journal.segments
    acks = segment.path.with_suffix(".ack")
    os.mkfifo(acks)
    fd = os.open(acks, os.O_RDWR | os.O_NONBLOCK)
    full = 0
    while select.select([], [fd], [], 0)[1]:
        full += os.write(fd, b" " * 4096)
    thread = threading.Thread(target=segment.acknowledge, args=("a", segment.size, 1, Counter(), []))
    thread.start()
    thread.join(0.3)
    settled = segment.settled(["a"])
    while full:
        full -= len(os.read(fd, full))
    thread.join()
    os.close(fd)
    assert not settled
    assert segment.settled(["a"]) and segment.progress("a").delivered == 1


def test_key_asked_by_threads(tmp_path: Path) -> None:
    """The first line with a key is found, also if several threads look for it before it is there."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for number in range(400):
            journal = Journal(tmp_path / str(number), max_bytes=1024**2, node="n")
            (segment,) = journal.segments
            segment.path.write_bytes(LINE * 300)
            threads = [threading.Thread(target=segment.key) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            journal.append(KEYED)
            assert segment.key() == b"abc"
            journal.close()
    finally:
        sys.setswitchinterval(before)
