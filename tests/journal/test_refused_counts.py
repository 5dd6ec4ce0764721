"""Counts are exact while threads and signal handlers add."""

from __future__ import annotations

import signal
import threading
from collections import deque
from types import FrameType

import pytest

from amllog.journal.refused_counts import RefusedCounts


def test_threads() -> None:
    """No addition is lost when threads add and read at the same time."""
    counts = RefusedCounts()

    def add() -> None:
        for number in range(5_000):
            counts.add("full" if number % 2 else "closed")
            if number % 500 == 0:
                counts.counts()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.counts() == {"full": 10_000, "closed": 10_000}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_signal_handler_that_adds() -> None:
    """No addition is lost when a handler interrupts the main thread, and both add and read."""
    counts = RefusedCounts()
    calls = deque[int]()  # a handler may interrupt itself, so a call is added in one step

    def handle(number: int, frame: FrameType | None) -> None:
        calls.append(0)
        counts.add("handler")
        counts.total()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        done = 0
        while len(calls) < 100:
            counts.add("main")
            counts.counts()
            done += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert counts.counts() == {"handler": len(calls), "main": done}


def test_reported() -> None:
    """The counts of a final account are subtracted. Later additions stay."""
    counts = RefusedCounts()
    counts.add("full")
    reported = counts.counts()
    counts.add("full")
    counts.reported(reported)
    assert counts.counts() == {"full": 1}
