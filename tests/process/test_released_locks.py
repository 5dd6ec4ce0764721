"""Our locks are released at any instruction at which a signal handler raises, on every Python."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from amllog.process.released_locks import call_releasing, depth, restore

STORM = """
import random, signal, threading
from amllog.journal.refused_counts import RefusedCounts

class Stop(Exception): pass

def stop(number, frame):
    raise Stop

def work():
    while True:
        refused.counts()

refused = RefusedCounts()
random.seed(1)
signal.signal(signal.SIGALRM, stop)
held = reached = 0
for _ in range(3_000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-4))
        work()
    except Stop:
        reached += 1
    if refused._lock._is_owned():
        held += 1
        refused._lock.release()
print(reached, held)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")
def test_no_signal_leaves_a_lock_acquired(child: Any) -> None:
    """The lock is always released after exceptions of a signal handler at 3,000 moments of a function."""
    ran = child(STORM)
    assert (ran.returncode, ran.stdout) == (0, "3000 0\n"), ran.stderr


def test_release_restores_the_depth_before() -> None:
    """A lock is released as often as the interrupted call has acquired it, and not more often."""
    lock = threading.RLock()

    def leaving() -> None:
        lock.acquire()
        lock.acquire()
        raise KeyError

    with lock:
        with pytest.raises(KeyError):
            call_releasing(lock, leaving)
        assert depth(lock) == 1
        restore(lock, 1)
        assert depth(lock) == 1
    assert depth(lock) == 0
