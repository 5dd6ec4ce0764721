"""The fallback of a checkpoint, and the space for further entries."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.journal.directory import create_segment, open_read_only


def test_space_for_the_next_entries(tmp_path: Path) -> None:
    """A checkpoint always has a kilobyte of disk space for the next entries, and is read as before."""
    segment = create_segment(tmp_path, "n")
    acks = segment.path.with_suffix(".ack")
    segment.checkpoint.reserve("a")
    for number in range(500):
        room = -acks.stat().st_size % 4096
        assert room >= 1024
        segment.acknowledge("a", 0, 1, Counter({"x" * (number % 200): 1}), [])
    segment.close()
    later = open_read_only(segment.path)
    assert later is not None
    assert (later.position("a").delivered, later.invalid_entries) == (500, 0)
    assert sum(later.position("a").refused.values()) == 500
    later.close()


FORK_DURING_A_SEARCH = """
import os, signal, sys, threading
from pathlib import Path
from amllog.journal import fallback_checkpoint
from amllog.journal.fallback_checkpoint import FallbackCheckpoint
looking, forked = threading.Event(), threading.Event()

def stop(frame, event, argument):
    if event == "call" and frame.f_code is fallback_checkpoint._candidates.__code__:
        looking.set()
        forked.wait()

def check():
    sys.setprofile(stop)
    FallbackCheckpoint(Path("one.jsonl")).lines()

thread = threading.Thread(target=check)
thread.start()
looking.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    FallbackCheckpoint(Path("two.jsonl")).lines()
    os._exit(0)
forked.set()
thread.join()
print(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_fork_while_a_thread_searches_a_fallback(child: Any) -> None:
    """A fork while another thread searches a fallback leaves no acquired lock in the child."""
    ran = child(FORK_DURING_A_SEARCH)
    assert ran.stdout == "0\n", ran.stderr
