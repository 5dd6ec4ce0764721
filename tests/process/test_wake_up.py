"""Waits with a time limit: they end in time, and a signal handler may end them."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from typing import Any

import pytest

from amllog.process.wake_up import Mailbox, WakeUp

# SimpleQueue.get(timeout=0.0) on CPython 3.9 and 3.10 waits without end in one of the first thousands of calls.
OVER_AT_ONCE = """
from amllog.process.wake_up import Mailbox, WakeUp
for number in range(100_000):
    wake_up = WakeUp()
    if number % 2:
        wake_up.set()
        wake_up.wait(0.0)
    assert not wake_up.wait((0.0, 1e-9, -1.0)[number % 3])
    if number % 10 == 0:
        mailbox = Mailbox()
        mailbox.put(number)
        assert (mailbox.get(0.0), mailbox.get(1e-9), mailbox.get(-1.0)) == (number, None, None)
"""


def test_waits_whose_time_is_over(child: Any) -> None:
    """A wait whose time is over at once returns, in all of many attempts."""
    assert child(OVER_AT_ONCE) == (0, "", "")


def test_set_before_the_wait() -> None:
    """A call of `set()` before the wait ends it, and several calls end one wait only."""
    wake_up = WakeUp()
    wake_up.set()
    wake_up.set()
    assert wake_up.wait(600)
    assert not wake_up.wait(0.0)


def test_set_during_the_wait() -> None:
    """A call of `set()` in another thread ends a wait without a limit."""
    wake_up = WakeUp()
    thread = threading.Thread(target=wake_up.set)
    thread.start()
    assert wake_up.wait(float("inf"))
    thread.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_items_of_a_signal_handler() -> None:
    """A signal handler may put an item at any instruction of the thread that reads, and each one is read once."""
    mailbox: Mailbox[int] = Mailbox()
    numbers = itertools.count()
    before = signal.signal(signal.SIGALRM, lambda number, frame: mailbox.put(next(numbers)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0002)
        received = [mailbox.get() for _ in range(500)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    rest = next(numbers) - len(received)
    received += [mailbox.get(0.0) for _ in range(rest)]
    # A handler may interrupt another one between its two calls, so the order is not that of the numbers.
    assert sorted(item for item in received if item is not None) == list(range(500 + rest))
    assert mailbox.get(0.0) is None


def test_items_of_several_threads() -> None:
    """Items of several threads are read once, those of each thread in their order."""
    mailbox: Mailbox[tuple[int, int]] = Mailbox()

    def fill(thread: int) -> None:
        for number in range(200):
            mailbox.put((thread, number))
            time.sleep(0)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    items = [item for item in (mailbox.get() for _ in range(800)) if item is not None]
    assert mailbox.get(0.0) is None
    for number in range(4):
        assert [item[1] for item in items if item[0] == number] == list(range(200))
    for thread in threads:
        thread.join()
