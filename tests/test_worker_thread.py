"""The worker's thread: started again after a failure, absent while the process forks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from amllog.worker_thread import WorkerThread

NO_THREADS = """
import threading
import amllog.worker_thread
from amllog.worker_thread import WorkerThread
ran = threading.Event()
thread = WorkerThread("amllog test", ran.set)
failures = [RuntimeError("can't start new thread")] * 2
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
real = getattr(threading, name)
def start(*arguments, **options):
    if failures:
        raise failures.pop()
    return real(*arguments, **options)
setattr(threading, name, start)
while not ran.is_set():
    thread.start()
    ran.wait(0.05)
print(len(failures), thread.running)
"""


def test_a_system_without_threads_is_asked_again(child: Any) -> None:
    """A thread that could not be started is started by a later attempt."""
    assert child(NO_THREADS).stdout == "0 True\n"


def test_parked_and_resumed() -> None:
    """The thread is gone while a thread is about to fork, and back when the last one has done so."""
    worked = threading.Event()
    thread = WorkerThread("amllog test", worked.set)
    thread.start()
    until(worked.is_set)
    assert thread.park(600) and not thread.running
    other = threading.Thread(target=thread.park, args=(600,))
    other.start()
    other.join()
    thread.resume()
    assert not thread.running  # another thread is about to fork
    thread._forking.clear()
    thread.start()
    until(lambda: thread.running)
    thread.stop(600)
    assert not thread.running


def test_never_waited_for_before_it_starts() -> None:
    """A fork beside another thread that is about to start the worker raises nothing and does not wait for ever."""
    thread = WorkerThread("amllog test", lambda: time.sleep(0.01))
    go_on = True

    def restart() -> None:
        while go_on:
            thread.start()

    starting = threading.Thread(target=restart)
    starting.start()
    try:
        for _ in range(20):
            thread.park(600)
            thread.resume()
    finally:
        go_on = False
        starting.join()
        thread.stop(600)
    assert not thread.running


def until(what: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 600
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
