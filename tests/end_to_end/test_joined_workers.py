"""Processes without a setup() that work for a step of another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

from .conftest import QUIET  # isort: skip

# Modules of a user, which a worker imports with its task.
OURS = """
import logging
import amllog
log = amllog.get_logger(__name__)
def work(number):
    log.info("ours %d", number)
    log.debug("debug %d", number)
    logging.getLogger(__name__).info("theirs %d", number)
"""
PLAIN = """
import logging
def work(number):
    logging.getLogger(__name__).info("plain %d", number)
"""
POOLS = """
import concurrent.futures, multiprocessing, sys
import ours, plain

if __name__ == "__main__":
    import amllog
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as older:
        older.submit(plain.work, -1).result()
        amllog.setup(connection_string=sys.argv[2], level="DEBUG", driver_level="CRITICAL", grace_seconds=300)
        amllog.get_logger().info("parent")
        list(older.map(ours.work, range(2)))
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as newer:
            list(newer.map(plain.work, range(2)))
        with concurrent.futures.ProcessPoolExecutor(1, context, amllog.setup) as initialized:
            list(initialized.map(ours.work, range(2, 4)))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_pools(child: Any, azure: AzureOnThisMachine, received: Any, tmp_path: Path, method: str) -> None:
    """Workers of pools that are older and newer than setup() record into the step, with its settings."""
    for name, text in (("train", POOLS), ("ours", OURS), ("plain", PLAIN)):
        (tmp_path / f"{name}.py").write_text(text)
    ran = child(
        tmp_path / "train.py", method, azure.connection_string, flags=("-W", "ignore::DeprecationWarning")
    )
    records = received()
    assert (ran.returncode, ran.stderr) == (0, "")
    expected = [f"{what} {number}" for what in ("ours", "theirs", "debug") for number in range(4)]
    assert sorted(records.messages) == sorted([*expected, "parent", "plain 0", "plain 1"])
    assert (records.duplicates, len(records.of_type("Request"))) == ([], 1)
    assert len({data["properties"]["step_id"] for data in records.of_type("Message")}) == 1


SUBPROCESS = """
import subprocess, sys
import amllog
log = amllog.setup(driver_level="CRITICAL", dimensions={"team": "nlp"})
log.info("parent")
subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
print(amllog.identity().step_id)
"""


def test_script_without_setup(child: Any, received: Any, connected: Any) -> None:
    """A script without a setup() that a step starts records into the step, and records no end."""
    code = "import amllog; amllog.get_logger().info('child'); print(amllog.identity().node)"
    ran = child(SUBPROCESS, code, env=connected)
    records = received()
    assert "child" not in ran.stdout  # the step's level of the driver log
    assert (records.messages.count("child"), len(records.envelopes), ran.stderr) == (1, 3, "")
    assert {"team": "nlp", "step_id": ran.stdout.split()[-1]}.items() <= records.properties("child").items()


def test_script_with_a_later_setup(child: Any, received: Any, connected: Any) -> None:
    """What a script records before its setup() belongs to the step that started it, and the rest to its own."""
    code = "import amllog; log = amllog.get_logger(); log.info('before'); amllog.setup(); log.info('after')"
    ran = child(SUBPROCESS, code, env={**connected, **QUIET})
    records, step_id = received(), ran.stdout.split()[-1]
    assert (len(records.of_type("Request")), ran.stderr) == (2, "")
    assert records.properties("before")["step_id"] == step_id
    own = records.properties("after")["step_id"]
    assert own != step_id
    assert {request["properties"]["step_id"] for request in records.of_type("Request")} == {own, step_id}


ENDED = """
import glob, multiprocessing, os, signal
import amllog
log = amllog.get_logger(__name__)

def work(queue, end):
    log.info("working until %s", end)
    queue.put(end)
    if end == "exit": os._exit(3)
    if end == "kill": os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()

if __name__ == "__main__":
    amllog.setup().info("parent")
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        queue = manager.Queue()
        processes = [context.Process(target=work, args=(queue, end)) for end in ("exit", "kill", "terminate")]
        for process in processes: process.start()
        for process in processes: queue.get()
        processes[2].terminate()
        for process in processes: process.join()
        journals = glob.glob(".amllog/*.jsonl")
        print([process.exitcode for process in processes], all(os.path.getsize(path) for path in journals))
"""


def test_ended_workers(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Killed and terminated workers lose nothing and record no end. The process of a manager leaves no file."""
    script = tmp_path / "train.py"
    script.write_text(ENDED)
    ran = child(script, env={**connected, **QUIET})
    assert (ran.stdout, ran.stderr) == ("[3, -9, -15] True\n", "")
    records = received()
    expected = [f"working until {end}" for end in ("exit", "kill", "terminate")]
    assert sorted(records.messages) == ["parent", *expected]
    assert (records.duplicates, len(records.of_type("Request"))) == ([], 1)


EXCEPTIONS = """
import multiprocessing, sys

def fail(reason):
    try:
        raise ValueError(reason)
    except ValueError:
        if reason == "exit":
            sys.exit(1)
        raise

if __name__ == "__main__":
    import amllog
    amllog.setup(driver_level="CRITICAL")
    for reason in ("raise", "exit"):
        process = multiprocessing.get_context(sys.argv[1]).Process(target=fail, args=(reason,))
        process.start(), process.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_exception_of_a_process(child: Any, journaled: Any, tmp_path: Path, method: str) -> None:
    """The exception that ends a process is recorded, also if nothing in the process mentions amllog."""
    script = tmp_path / "train.py"
    script.write_text(EXCEPTIONS)
    assert child(script, method).returncode == 0
    found = [data["exceptions"][0] for data in journaled().of_type("Exception")]
    assert [error["typeName"] for error in found] == ["ValueError", "ValueError"]
    assert [error["message"].split(": ")[1] for error in found] == ["raise", "exit"]


METRICS = """
import multiprocessing
import amllog

def work(name):
    log = amllog.get_logger(__name__)
    if name == "first": log.metric("first", 1)
    log.run.log("second", 2)
    print(log.run.id, log.run.get_status(), flush=True)

if __name__ == "__main__":
    amllog.setup()
    for name in ("first", "second"):
        process = multiprocessing.get_context("spawn").Process(target=work, args=(name,))
        process.start(), process.join()
"""


def test_metrics_in_a_job(child: Any, azure: AzureOnThisMachine, tmp_path: Path) -> None:
    """Metrics of workers without a setup() arrive in the run of the step, and `log.run` reads from it."""
    script = tmp_path / "train.py"
    script.write_text(METRICS)
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(script, env={**job, **QUIET}, flags=("-W", "ignore"))
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["run_1", "run_1"]
    assert azure.values("run_1") == {"first": [1], "second": [2, 2]}


FOREIGN_JOB = """
import os, subprocess, sys
import amllog
amllog.setup(driver_level="CRITICAL")
code = "import amllog; amllog.get_logger().info('of another run'); print(amllog.identity().step_id)"
subprocess.run([sys.executable, "-c", code], env={**os.environ, "AZUREML_RUN_ID": "another_run"}, check=True)
"""


def test_variables_of_another_run(child: Any, journaled: Any) -> None:
    """A job that was submitted with the variables of a step does not record into that step."""
    ran = child(FOREIGN_JOB)
    assert (ran.stdout.split()[-1], ran.stderr) == ("another_run", "")
    assert journaled().messages == []


# Workers of a cluster that nobody has passed a step to. Each logs, and waits until all have logged.
FOREIGN = """
import os, sys, logging
import amllog
log = amllog.get_logger("module")
log.info("lost %s", sys.argv[1])
own = amllog.identity().step_id
print("logged", own, flush=True)
sys.stdin.read()
log.info("found %s", sys.argv[1])
"""


def test_detached_workers(child: Any, tmp_path: Path, journaled: Any) -> None:
    """Workers that know no step keep their records in the local journal, and one of them prints a notice."""
    script = tmp_path / "ray" / "default_worker.py"
    script.parent.mkdir()
    script.write_text(FOREIGN)
    code = """
import subprocess, sys
workers = [subprocess.Popen([sys.executable, "ray/default_worker.py", str(n)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True) for n in range(3)]
lines = []
for worker in workers:
    lines.append([])
    while not lines[-1] or not lines[-1][-1].startswith("logged"):
        lines[-1].append(worker.stdout.readline())
print(sum("WARNING" in line for part in lines for line in part), len({part[-1] for part in lines}))
print(*(line for part in lines for line in part if "WARNING" in line), sep="")
for worker in workers: worker.communicate("")
"""
    ran = child(code)
    assert ran.stdout.startswith("1 1\n"), ran
    assert "this Ray worker does not know its step: its records stay in " in ran.stdout
    assert str(tmp_path / ".amllog") in ran.stdout
    records = journaled()
    assert sorted(records.messages) == [f"{what} {n}" for what in ("found", "lost") for n in range(3)]
    assert records.of_type("Request") == []


def test_detached_worker_finds_its_step(child: Any, tmp_path: Path, journaled: Any) -> None:
    """A worker whose driver calls setup() later joins the step with a record that it logs then."""
    script = tmp_path / "ray" / "default_worker.py"
    script.parent.mkdir()
    waits = "while amllog.identity().step_id == own: log.info('between')"
    script.write_text(FOREIGN.replace("sys.stdin.read()", f"sys.stdin.read()\n{waits}"))
    code = """
import subprocess, sys
import amllog
worker = subprocess.Popen([sys.executable, "ray/default_worker.py", "1"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
while not worker.stdout.readline().startswith("logged"): pass
amllog.setup(step_name="later", driver_level="CRITICAL")
worker.communicate("")
print(amllog.identity().step_id)
"""
    ran = child(code)
    records = journaled()
    assert records.properties("found 1")["step_id"] == ran.stdout.split()[-1]
    assert records.properties("lost 1")["step_id"] != ran.stdout.split()[-1]
    assert len(records.of_type("Request")) == 1
