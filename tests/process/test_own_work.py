"""The mark of amllog's work in a thread, and the records that it causes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from amllog.exporters.driver_log import DriverLog
from amllog.process.background import BackgroundCall
from amllog.process.fork_safe_thread import ForkSafeThread
from amllog.process.own_work import PRINTING, SENDING, THREAD, causes, is_interruption, is_within, sending


@pytest.fixture(autouse=True)
def unmarked() -> Iterator[None]:
    """A thread without a mark before and after the test."""
    assert THREAD.doing == ""
    yield
    doing = THREAD.doing
    THREAD.forget()
    assert doing == ""


def state() -> tuple[str, bool]:
    """Return the mark, and whether it has caused the present record."""
    return THREAD.doing, bool(THREAD.doing) and causes()


def test_background_calls_are_marked() -> None:
    """What a background call causes is recognized in its thread, and in no other one."""
    assert BackgroundCall(state).result(60) == (SENDING, True)
    assert state() == ("", False)


def test_the_delivery_thread_is_marked() -> None:
    """Each step of a thread of amllog is marked."""
    states: list[Any] = []
    done = threading.Event()

    def work() -> None:
        states.append(state())
        done.set()
        thread.stop(0)

    thread = ForkSafeThread("amllog test", work)
    thread.start()
    assert done.wait(60)
    assert states[0] == (SENDING, True)


def test_marks_are_nested() -> None:
    """The end of an inner work restores the outer one, and what that has caused."""
    outer = THREAD.begin(PRINTING)
    THREAD.note()
    with sending():
        assert THREAD.doing == SENDING
        assert not THREAD.has_caused
    assert THREAD.end(outer)


def test_a_mark_without_its_work_is_forgotten() -> None:
    """An exception of a signal handler may end a work before its mark is removed. Records are kept then."""
    THREAD.begin(SENDING)
    assert not causes()
    assert THREAD.doing == ""


def test_a_print_is_noted_and_not_caused() -> None:
    """A record that a print of the script causes is recorded, and the print is not a second one."""
    before = THREAD.begin(PRINTING)
    assert not causes()
    assert THREAD.end(before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
def test_signal_handlers_and_finalizers_are_the_script() -> None:
    """A record of a signal handler or of a finalizer during amllog's work is not caused by it."""
    results: list[bool] = []

    def handler(number: int, frame: object) -> None:
        results.extend([causes(), is_within(), not is_interruption(None)])

    class Finalized:
        def __del__(self) -> None:
            results.append(causes())

    class Stream:
        def write(self, text: str) -> int:
            os.kill(os.getpid(), signal.SIGUSR1)
            Finalized()
            results.append(not causes())
            return len(text)

        def flush(self) -> None:
            pass

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        DriverLog("plain", 0, {})._write_tracked(Stream(), "line")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert results == [False, False, True, False, False]
