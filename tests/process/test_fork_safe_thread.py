"""The worker's thread: started again after a failure, absent while the process forks."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from amllog.process.background import BackgroundCall
from amllog.process.fork_safe_thread import ForkSafeThread

NO_THREADS = """
import threading
import amllog.process.fork_safe_thread
from amllog.process.fork_safe_thread import ForkSafeThread
ran = threading.Event()
thread = ForkSafeThread("amllog test", ran.set)
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
    thread = ForkSafeThread("amllog test", worked.set)
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
    thread = ForkSafeThread("amllog test", lambda: time.sleep(0.01))
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


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs masks of signals")
def test_signals_are_left_to_other_threads() -> None:
    """The thread takes no signal that Python handles; those that report a fault in it still reach their handlers."""
    found: queue.SimpleQueue[set[signal.Signals]] = queue.SimpleQueue()

    def work() -> None:
        found.put(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        time.sleep(0.01)

    thread = ForkSafeThread("amllog test", work)
    thread.start()
    blocked = found.get(timeout=600)
    thread.stop(600)
    attempted = BackgroundCall(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ())).result(600)
    for mask in (blocked, attempted):
        assert {signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1} <= mask
        assert not {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL} & mask
    assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


INTERRUPTED_START = """
import signal, sys, threading, time
from amllog.process.fork_safe_thread import ForkSafeThread

class Stop(Exception): pass

def stop(number, frame):
    raise Stop

name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
real = getattr(threading, name)

def start(*arguments, **options):
    try:
        return real(*arguments, **options)
    finally:
        while threading._limbo:  # the thread has not begun
            time.sleep(0.01)
        if not interrupted:
            interrupted.append(True)
            signal.raise_signal(signal.SIGALRM)

interrupted = []
signal.signal(signal.SIGALRM, stop)
setattr(threading, name, start)
thread = ForkSafeThread("amllog test", lambda: time.sleep(0.01))
try:
    thread.start()
    print("lost")
except Stop:
    thread.start()
    print("reached", thread.running)
thread.stop(60)
print(thread.running)
"""


def test_interrupted_between_a_start_and_its_end(child: Any) -> None:
    """`Thread.start()` raises a KeyError in place of a handler's exception: the script gets the handler's."""
    assert child(INTERRUPTED_START).stdout == "reached True\nFalse\n"


def until(what: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 600
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
