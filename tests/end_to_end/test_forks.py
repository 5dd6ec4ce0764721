"""Forked and spawned children: their records arrive once, and the parent's are not repeated."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import QUIET  # isort: skip

FORK = """
import os, sys
import amllog
log = amllog.setup()
for i in range(50):
    log.info("parent %d", i)
if {flush}:
    amllog.flush(200)
pids = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(20):
            log.info("child %d of %d", i, number)
        {end}
    pids.append(pid)
    log.info("started %d", number)
for pid in pids:
    os.waitpid(pid, 0)
"""
PARENT = [*(f"parent {i}" for i in range(50)), *(f"started {number}" for number in range(3))]
CHILDREN = [f"child {i} of {number}" for number in range(3) for i in range(20)]

POOL = """
import logging, multiprocessing
import amllog

log = amllog.setup().bind(team="nlp")

def work(job):
    number, given = job
    given.info("ours %d", number)
    logging.getLogger("library").info("theirs %d", number)
    return amllog.identity().step_id

if __name__ == "__main__":
    log.info("parent")
    context = multiprocessing.get_context("{method}")
    with context.Pool(2) as pool:
        found = set(pool.map(work, [(number, log) for number in range(10)]))
        pool.close()
        pool.join()
    print("same run:", found == {{amllog.identity().step_id}})
"""


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_fork(
    child: Any, received: Any, connected: Any, fork_environment: Any, end: str, flush: bool
) -> None:
    """Forked children keep separate journals, and at the parent's end everything has arrived once."""
    # Python warns of forks beside threads (since 3.12). Our thread has stopped, so only the script's would count.
    ran = child(FORK.format(end=end, flush=flush), env={**connected, **fork_environment})
    records = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(records.messages) == sorted(PARENT + CHILDREN)
    assert records.duplicates == []
    assert len(records.of_type("Request")) == 1  # one step, one request


def test_the_account_of_a_child(child: Any) -> None:
    """A forked child counts only its records, also on the driver log."""
    code = """
import os
import amllog
log = amllog.setup()
for i in range(5):
    log.info("parent %d", i)
if os.fork() == 0:
    log.info("child")
    account = amllog.status()
    print("COUNTS", account.accepted, account.outlets["driver_log"].delivered, flush=True)
    os._exit(0)
os.wait()
"""
    assert "COUNTS 1 1" in child(code).stdout.splitlines()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool(child: Any, received: Any, connected: Any, tmp_path: Any, method: str) -> None:
    """In a Pool, loggers are pickled with their bound dimensions, and all workers belong to the same step."""
    script = tmp_path / "train.py"
    script.write_text(POOL.format(method=method))
    ran = child(script, env={**connected, **QUIET})
    records = received()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "same run: True\n", "")
    expected = ["parent", *(f"{logger} {number}" for logger in ("ours", "theirs") for number in range(10))]
    assert sorted(records.messages) == sorted(expected)
    assert records.duplicates == []
    assert [records.properties(f"ours {number}").get("team") for number in range(10)] == ["nlp"] * 10
    assert len(records.of_type("Request")) == 1
    assert len({envelope["tags"]["ai.operation.id"] for envelope in records.envelopes}) == 1


def test_fork_while_logging(child: Any, received: Any, connected: Any) -> None:
    """After a fork during log calls of other threads, the child can log, and nothing hangs."""
    code = """
import os, threading, time
import amllog
log = amllog.setup()
go_on = True
def chatter():
    while go_on:
        for _ in range(5): log.info("chatter")
        time.sleep(0.005)
threads = [threading.Thread(target=chatter) for _ in range(3)]
for thread in threads: thread.start()
for number in range(20):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(0)
    os.waitpid(pid, 0)
go_on = False
for thread in threads: thread.join()
"""
    # Without coverage, whose lock does not support a fork while other threads are traced.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": None, "COVERAGE_PROCESS_START": None}
    # Python warns of these forks, because the threads are the script's.
    quiet = {**QUIET, "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    ran = child(code, env={**connected, **unmeasured, **quiet})
    records = received()
    messages = [message for message in records.messages if message != "chatter"]
    assert (ran.returncode, sorted(messages)) == (0, sorted(f"child {number}" for number in range(20)))
    assert records.duplicates == []


def test_subprocess_of_a_local_run(child: Any, received: Any, connected: Any) -> None:
    """Outside Azure ML, a script started by a step is a separate step under the same pipeline run."""
    inner = "import amllog; amllog.setup().info('inner')"
    start = f"subprocess.run([sys.executable, '-c', {inner!r}])"
    code = f"import amllog, subprocess, sys; amllog.setup().info('outer'); {start}"
    child(code, env=connected)
    records = received()
    inside, outside = records.properties("inner"), records.properties("outer")
    assert inside["parent_run_id"] == outside["step_id"] != inside["step_id"]
    assert len({envelope["tags"]["ai.operation.id"] for envelope in records.envelopes}) == 1
    assert len(records.of_type("Request")) == 2


# CPython hangs in a child that C code forks while another thread requests the interpreter, also without amllog.
# With this interval, no thread requests it.
NO_SWITCH = "import sys; sys.setswitchinterval(60)"
FORK_IN_C = f"""
{NO_SWITCH}
import ctypes, os
import amllog
log = amllog.setup()
log.info("before")
pid = ctypes.PyDLL(None).fork()  # Python calls no hook
if pid == 0:
    log.info("child")
    os._exit(0)
os.waitpid(pid, 0)
log.info("parent")
"""


def test_fork_in_c(child: Any, received: Any, connected: Any) -> None:
    """A child that was forked in C has a separate journal and record ids, and everything arrives once."""
    ran = child(FORK_IN_C, env={**connected, **QUIET})
    records = received()
    assert (ran.returncode, sorted(records.messages)) == (0, ["before", "child", "parent"]), ran.stderr
    assert records.duplicates == [] and len(set(records.ids_of("Message"))) == 3


FORK_IN_C_BESIDE_THREADS = (
    NO_SWITCH
    + """
import ctypes, os, threading
import amllog
log = amllog.setup()
log.info("before")
amllog.flush(300)
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
pids = []
for number in range(10):
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        log.info(f"child {number}")
        account = amllog.flush(300)
        sum(range(10_000))
        os._exit(0 if account.outlets["app_insights"].waiting == 1 else 3)
    pids.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
"""
)


def test_fork_in_c_beside_threads(child: Any, received: Any, connected: Any) -> None:
    """The records of a child that C code forked wait for the parent, with a notice."""
    ran = child(FORK_IN_C_BESIDE_THREADS, env=connected)
    records = received()
    assert str([0] * 10) in ran.stdout, ran
    assert sorted(records.messages) == ["before", *(f"child {number}" for number in range(10))]
    assert records.duplicates == []
    assert "forked by C code" in ran.stdout + ran.stderr


BEFORE_SETUP = """
import os
import amllog
log = amllog.get_logger("x")
log.info("early")
for number in range(2):
    if os.fork() == 0:
        if {early}:
            log.info("early in child %d", number)
        amllog.setup()
        log.info("child %d", number)
        account = amllog.flush(300)
        os._exit(account.outlets["app_insights"].waiting)
    if os.waitstatus_to_exitcode(os.wait()[1]) != 0:
        raise SystemExit("records of the child wait")
"""
AFTER_SHUTDOWN = """
amllog.setup()
amllog.shutdown()
log.info("between")
if os.fork() == 0:
    amllog.setup()
    log.info("child 2")
    os._exit(amllog.shutdown().outlets["app_insights"].waiting)
os.wait()
amllog.setup()
amllog.shutdown()
"""


@pytest.mark.parametrize("early", [False, True])
def test_fork_before_setup(child: Any, received: Any, connected: Any, early: bool) -> None:
    """Children forked before setup() or after shutdown() deliver their records, and the parent's arrive once."""
    ran = child(BEFORE_SETUP.format(early=early) + AFTER_SHUTDOWN, env={**connected, **QUIET})
    expected = ["early", "between", "child 0", "child 1", "child 2"]
    expected += ["early in child 0", "early in child 1"] * early
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert sorted(received().messages) == sorted(expected)


def test_fork_of_a_process_without_setup(child: Any, received: Any, connected: Any) -> None:
    """If a parent never calls setup(), its records are on its driver log, and no child sends them."""
    ran = child(BEFORE_SETUP.format(early=False), env=connected)
    assert (ran.returncode, ran.stdout.count("early"), "forked by C" in ran.stdout) == (0, 1, False)
    assert sorted(received().messages) == ["child 0", "child 1"]


POOL_BEFORE_SETUP = """
import multiprocessing
import amllog
log = amllog.get_logger("x")
log.info("module loaded")

def work(number):
    log.info("worker %d", number)

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2, initializer=amllog.setup) as pool:
        pool.map(work, range(10))
        pool.close()
        pool.join()
    amllog.setup()
"""


def test_pool_before_setup(child: Any, received: Any, connected: Any, tmp_path: Any) -> None:
    """In a Pool made before setup(), workers that call it deliver, and the module's records arrive once."""
    script = tmp_path / "train.py"
    script.write_text(POOL_BEFORE_SETUP)
    ran = child(script, env={**connected, **QUIET})
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert sorted(received().messages) == sorted(
        ["module loaded", *(f"worker {number}" for number in range(10))]
    )


FORKS_IN_TURN = """
import ctypes, os, sys
import amllog
log = amllog.get_logger("x")
log.info("early")
pid = os.fork()
if pid == 0:
    if {first}:
        log.info("first")
    inner = ctypes.PyDLL(None).fork()  # Python calls no hook
    if inner == 0:
        log.info("in C")
        amllog.setup()
        os._exit(amllog.flush(300).outlets["app_insights"].waiting)
    waits = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    amllog.setup()
    amllog.shutdown()
    os._exit(waits)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
amllog.setup()
"""


@pytest.mark.parametrize("first", [False, True])
def test_fork_in_c_after_a_fork(child: Any, received: Any, connected: Any, first: bool) -> None:
    """A fork in C is recognized in a child of Python's fork, whether or not that child has logged."""
    ran = child(FORKS_IN_TURN.format(first=first), env=connected)
    assert "\n1\n" in ran.stdout and "forked by C code" in ran.stdout + ran.stderr
    assert sorted(received().messages) == sorted(["early", "in C", *["first"] * first])
