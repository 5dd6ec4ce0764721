"""Worker processes that are terminated, or forked while a batch is in flight."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

from ..conftest import wait_until  # isort: skip
from .conftest import QUIET  # isort: skip


POOL = """
import logging, multiprocessing
import amllog

log = amllog.setup()

def work(job):
    number, given = job
    given.info("ours %d", number)
    logging.getLogger("library").info("theirs %d", number)

if __name__ == "__main__":
    log.info("parent")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(work, [(number, log) for number in range(10)])
"""

# The worker waits in C for a lock that is never released. No Python handler runs there.
STUCK = """
import ctypes, multiprocessing, os, signal, sys
import amllog
log = amllog.setup()
reading, writing = multiprocessing.Pipe(duplex=False)

def work(number, log, writing):
    log.info("worker %d", number)
    libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(lock)
    writing.send(number)
    libc.pthread_mutex_lock(lock)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    workers = [context.Process(target=work, args=(number, log, writing)) for number in range(2)]
    for worker in workers: worker.start()
    print(sorted(reading.recv() for _ in workers))
    for worker in workers: worker.terminate()
    for worker in workers: worker.join()
    print([worker.exitcode for worker in workers])
"""


def test_terminated_pool(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Workers that a Pool in a `with` statement terminates lose nothing."""
    script = tmp_path / "train.py"
    script.write_text(POOL)
    ran = child(script, env={**connected, **QUIET})
    expected = ["parent", *(f"{whose} {number}" for whose in ("ours", "theirs") for number in range(10))]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(received().messages) == sorted(expected)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_terminated_in_the_middle_of_c(
    child: Any, received: Any, connected: Any, tmp_path: Path, method: str
) -> None:
    """A terminated worker ends at once, even if its main thread waits in C."""
    script = tmp_path / "train.py"
    script.write_text(STUCK.format(method=method))
    ran = child(script, env={**connected, **QUIET})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[0, 1]\n[-15, -15]\n", "")
    assert sorted(received().messages) == ["worker 0", "worker 1"]


SENDING = """
import os, signal, sys, time
import amllog
log = amllog.setup()
pid = os.fork()
if pid == 0:
    log.info("worker")
    {worker}
    time.sleep(600)
print(pid, flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture
def sending(child: Any, connected: Any, fork_environment: Any, azure: AzureOnThisMachine) -> Any:
    """Return a function that starts a script whose worker waits for a response, with the worker's id."""

    def start(worker: str = "") -> tuple[Any, int]:
        azure.faults.put(Fault(drops=0.02, times=1))
        process = child.start(SENDING.format(worker=worker), env={**connected, **fork_environment})
        pid = int(process.stdout.readline())
        wait_until(lambda: azure.envelopes)
        return process, pid

    return start


def test_terminated_while_sending(sending: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """A worker that is terminated while its batch is in flight ends when it is settled, without duplicates."""
    process, pid = sending()
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    azure.faults.clear()
    stdout, stderr = process.communicate(timeout=600)
    assert (process.returncode, stdout, stderr) == (0, f"{-signal.SIGTERM}\n", "")
    assert (received().messages, received().duplicates) == (["worker"], [])


def test_handler_set_while_sending(sending: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """A SIGTERM handler that a worker's script sets while a batch is in flight is used."""
    handler = """
    while not os.path.exists("arrived"): time.sleep(0.01)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    open("set", "w").close()
    """
    process, pid = sending(worker=handler.strip())
    Path("arrived").touch()
    wait_until(Path("set").exists)
    azure.faults.clear()
    wait_until(
        lambda: '"delivered": 1' in "".join(p.read_text() for p in Path(".amllog").glob(f"*-{pid}-*.ack"))
    )
    os.kill(pid, signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=600)
    assert (process.returncode, stdout, stderr) == (0, "7\n", "")
    assert (received().messages, received().duplicates) == (["worker"], [])


def test_fork_while_sending(sending: Any, received: Any, azure: AzureOnThisMachine) -> None:
    """A fork while a batch is in flight does not wait, and the child has the default action for SIGTERM."""
    fork = """
    while not os.path.exists("arrived"): time.sleep(0.01)
    inner = os.fork()
    if inner == 0:
        log.info("worker's worker")
        time.sleep(600)
    os.kill(inner, signal.SIGTERM)
    os.write(1, b"inner %d\\n" % os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
    """
    process, pid = sending(worker=fork.strip())
    Path("arrived").touch()
    assert process.stdout.readline() == f"inner {-signal.SIGTERM}\n"
    azure.faults.clear()
    os.kill(pid, signal.SIGTERM)
    stdout, _ = process.communicate(timeout=600)
    assert (process.returncode, stdout) == (0, f"{-signal.SIGTERM}\n")
    # The inner process may have been terminated before it logged.
    assert set(received().messages) >= {"worker"} and received().duplicates == []


def test_frequent_forks_do_not_prevent_delivery(
    child: Any, connected: Any, azure: AzureOnThisMachine
) -> None:
    """A parent that forks constantly still delivers its records."""
    code = """
import os, time
import amllog
log = amllog.setup()
log.info("parent")
while True:
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
    time.sleep(0.05)
"""
    process = child.start(code, env={**connected, **QUIET})
    wait_until(lambda: azure.envelopes)
    assert process.poll() is None


def test_the_worker_imports_nothing(child: Any, azure: AzureOnThisMachine) -> None:
    """setup() imports everything for delivery, because a fork during an import in the worker would stop the child."""
    code = """
import sys, amllog
log = amllog.setup()
log.info("first")
before = set(sys.modules)
amllog.flush(200)
print(sorted(set(sys.modules) - before))
"""
    ran = child(code, env={**QUIET, "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string})
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
