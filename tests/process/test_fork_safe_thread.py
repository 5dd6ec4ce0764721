"""The thread of the worker: started again after a failure, ended while the process forks."""

from __future__ import annotations

import queue
import signal
import threading
import time
from typing import Any

import pytest

from amllog.process.background import BackgroundCall
from amllog.process.fork_safe_thread import ForkSafeThread

from ..conftest import wait_until  # isort: skip

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


def test_start_is_repeated_after_a_failure(child: Any) -> None:
    """A later call starts a thread that could not be started."""
    assert child(NO_THREADS).stdout == "0 True\n"


def test_park_and_resume() -> None:
    """The thread does not exist while other threads are about to fork, and starts again after the last fork."""
    worked = threading.Event()
    thread = ForkSafeThread("amllog test", worked.set)
    thread.start()
    wait_until(worked.is_set)
    assert thread.park(600) and not thread.running
    other = threading.Thread(target=thread.park, args=(600,))
    other.start()
    other.join()
    thread.resume()
    assert not thread.running  # another thread is about to fork
    thread._forking.clear()
    thread.start()
    wait_until(lambda: thread.running)
    thread.stop(600)
    assert not thread.running


def test_park_while_another_thread_starts_it() -> None:
    """A fork neither raises nor waits for ever while another thread starts the worker."""
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
def test_signals_are_blocked_in_the_thread() -> None:
    """The thread blocks all signals but those that report a fault, whose handlers are still called."""
    masks: queue.SimpleQueue[set[signal.Signals]] = queue.SimpleQueue()

    def work() -> None:
        masks.put(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        time.sleep(0.01)

    thread = ForkSafeThread("amllog test", work)
    thread.start()
    in_worker = masks.get(timeout=600)
    thread.stop(600)
    in_call = BackgroundCall(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ())).result(600)
    for mask in (in_worker, in_call):
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


def test_start_interrupted_by_a_signal(child: Any) -> None:
    """`Thread.start()` raises a KeyError in place of a handler's exception, and the script gets the handler's."""
    assert child(INTERRUPTED_START).stdout == "reached True\nFalse\n"
