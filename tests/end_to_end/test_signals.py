"""Signal handlers that raise at any moment: each exception reaches the script, and nothing stays locked."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import Fault

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")

BEGINNING = """
import functools, logging, os, queue, random, signal, sys, threading, time
import amllog

class Stop(Exception): pass
kind, handler, rounds, within = Stop, "star", 60, 0.004
fired = reached = 0

def stop():
    global fired
    fired += 1
    raise kind("of the script")

def star(number, *_):
    stop()

def deleting(number, frame):
    del number, frame
    stop()

class Handler:
    def any(*args):
        stop()

def is_free(lock):  # asked without another thread, which could take a signal during a fork
    return not lock._is_owned()

random.seed(1)
log = amllog.setup()
"""

ROUNDS = """
def work_on(before):  # CPython 3.13.0 leaves a `try` before the last instruction of a loop in it
    while fired == before:
        work()

def count_lost(lost):  # Python itself loses an exception in the callback of a weak reference, such as to a thread
    global reached
    if lost.exc_type is kind and "WeakSet" in getattr(lost.object, "__qualname__", ""):
        reached += 1
    else:
        sys.__unraisablehook__(lost)

sys.unraisablehook = count_lost
signal.signal(signal.SIGALRM, {"star": star, "deleting": deleting, "any": Handler().any}[handler])
for _ in range(rounds):
    before = fired
    try:
        signal.setitimer(signal.ITIMER_REAL, random.random() * within + 1e-5)
        work_on(before)
        if fired != reached:
            time.sleep(60)
    except kind:
        reached += 1
    if fired != reached:
        break
    if not is_free(logging._lock) or signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        print("locked")
        break
signal.signal(signal.SIGALRM, signal.SIG_DFL)
log.info("the end")
print(fired, reached, amllog.status().outlets["driver_log"].refused)
"""

LOG = """
def work():
    log.info("ours")
    log.metric("loss", 1.0)
"""

FORK = """
def work():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""

SETUP = """
work = amllog.setup
"""


@pytest.mark.parametrize("handler", ["star", "deleting", "any"])
@pytest.mark.parametrize("work", [LOG, FORK, SETUP], ids=["log", "fork", "setup"])
def test_every_exception_reaches_the_script(child: Any, handler: str, work: str) -> None:
    """With any signature of the handler, log calls, forks and setup() lose no exception and keep no lock."""
    if work == FORK and handler == "deleting":
        pytest.skip("the others show it")
    environment = {"AMLLOG_EXPORTER": "none", "AMLLOG_DRIVER_LEVEL": "CRITICAL"}
    ran = child(BEGINNING + f"handler = {handler!r}\n" + work + ROUNDS, env=environment)
    assert (ran.returncode, ran.stdout) == (0, "60 60 {}\n"), ran.stderr


FLUSH = """
kind, rounds, within = queue.Empty, 10, 0.2

def work():
    amllog.flush(600)
"""


def test_flush_raises_the_error_of_a_handler(child: Any, azure: AzureOnThisMachine) -> None:
    """A handler that raises `queue.Empty` ends a flush() that waits for a queue."""
    azure.faults.put(Fault(hang="before headers"))
    environment = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_DRIVER_LEVEL": "CRITICAL",
        "AMLLOG_GRACE_SECONDS": "0",
    }
    ran = child(BEGINNING + "log.info('waits')\n" + FLUSH + ROUNDS, env=environment)
    azure.faults.clear()
    assert ran.stdout == "10 10 {}\n", ran.stderr


UNRAISABLE = """
import signal, sys, time
import amllog

class Stop(Exception): pass

def stop(number, frame):
    raise Stop

class Failing:
    def __del__(self):
        raise ValueError("own")

signal.signal(signal.SIGALRM, stop)
sys.unraisablehook = lambda _: signal.raise_signal(signal.SIGALRM)
amllog.setup()
reached = 0
for _ in range(20):
    try:
        value = Failing()
        del value
        time.sleep(600)  # a moment later the script waits in a system call
    except Stop:
        reached += 1
print(reached)
"""


def test_in_the_scripts_unraisable_hook(child: Any) -> None:
    """The exception of a signal in the script's unraisable hook reaches the waiting script."""
    ran = child(UNRAISABLE, env={"AMLLOG_EXPORTER": "none"})
    assert ran.stdout.splitlines()[-1] == "20", ran.stderr
