"""Refusals are counted exactly, also by threads and by signal handlers."""

from __future__ import annotations

import signal
import threading
from collections import deque
from types import FrameType

import pytest

from amllog.journal.refused_counts import RefusedCounts


def test_threads() -> None:
    """Threads that add at the same time lose nothing, also while others ask."""
    refusals = RefusedCounts()

    def add() -> None:
        for number in range(5_000):
            refusals.add("full" if number % 2 else "closed")
            if number % 500 == 0:
                refusals.counts()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusals.counts() == {"full": 10_000, "closed": 10_000}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_signal_handler_that_adds() -> None:
    """A handler that adds and asks while the main thread does the same loses nothing."""
    refusals, calls = RefusedCounts(), deque[int]()  # a handler may interrupt itself: one step adds a call

    def handle(number: int, frame: FrameType | None) -> None:
        calls.append(0)
        refusals.add("handler")
        refusals.total()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        done = 0
        while len(calls) < 100:
            refusals.add("main")
            refusals.counts()
            done += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert refusals.counts() == {"handler": len(calls), "main": done}


def test_reported() -> None:
    """What a final account has reported is subtracted; what came since stays."""
    refusals = RefusedCounts()
    refusals.add("full")
    counts = refusals.counts()
    refusals.add("full")
    refusals.reported(counts)
    assert refusals.counts() == {"full": 1}
