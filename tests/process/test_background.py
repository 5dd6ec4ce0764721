"""Calls in a daemon thread that a caller waits for up to a timeout."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from amllog.process.background import BackgroundCall


def test_result() -> None:
    """result() returns the result of the call, again and again."""
    call = BackgroundCall(lambda: 7)
    assert (call.result(600), call.result(0), call.over) == (7, 7, True)


def test_exception() -> None:
    """result() raises the exception of the call."""
    call = BackgroundCall(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        call.result(600)
    assert call.over


def test_timeout() -> None:
    """A call that takes longer raises TimeoutError, and its result can be waited for again."""
    may_end = threading.Event()
    call = BackgroundCall(lambda: may_end.wait(600))
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        call.result(0.05)
    call.wait(0.05)
    assert time.monotonic() - began < 300 and not call.over
    may_end.set()
    assert call.result(600) is True


def test_a_call_does_not_keep_the_process_alive(child: Any) -> None:
    """The process ends while a call still runs."""
    code = "import time; from amllog.process.background import BackgroundCall; BackgroundCall(lambda: time.sleep(600))"
    assert child(code).returncode == 0


def test_a_process_without_threads(child: Any) -> None:
    """A call without a thread raises RuntimeError or runs in the caller's thread."""
    code = """
import threading
from amllog.process.background import BackgroundCall
def start(*arguments, **options):
    raise RuntimeError("can't start new thread")
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
setattr(threading, name, start)
try:
    BackgroundCall(threading.current_thread)
except RuntimeError as error:
    print(error)
print(BackgroundCall(threading.current_thread, or_here=True).result(0) is threading.main_thread())
"""
    assert child(code).stdout == "can't start new thread\nTrue\n"
