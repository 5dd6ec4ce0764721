"""Mini-batches over worker processes: retries, thresholds, ends of workers, and signals."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import ParallelFolder

ECHO = "def run(mini_batch): return [name(path) for path in mini_batch]"
SOME_FAIL = "def run(mini_batch):\n assert name(mini_batch[0]) not in '{}'\n return [name(path) for path in mini_batch]"


def test_several_processes_work_at_the_same_time(parallel: ParallelFolder) -> None:
    """Two mini-batches that wait for each other end, and each is in another process."""
    parallel.files(2)
    script = """
import time
def run(mini_batch):
    open(name(mini_batch[0]) + ".here", "w").close()
    while len([file for file in os.listdir() if file.endswith(".here")]) < 2: time.sleep(0.01)
    return [os.getpid()]
"""
    done = parallel.run(script, max_concurrency_per_instance=2)
    assert (done.returncode, len(set(parallel.rows))) == (0, 2)


def test_no_more_processes_start_than_there_are_mini_batches(parallel: ParallelFolder) -> None:
    """A machine with many cores does not import a big library for nothing."""
    parallel.files(3)
    assert parallel.run(ECHO, mini_batch_size="2", max_concurrency_per_instance=16).returncode == 0
    assert len(list((parallel.work / "logs/user/stdout/localhost").iterdir())) == 2
    assert parallel.rows == ["0", "1", "2"]


def test_a_failed_mini_batch_is_tried_again_in_a_new_process(parallel: ParallelFolder) -> None:
    """A process that dies is replaced. The report has a row for each attempt, and the step completes."""
    parallel.files(2)
    script = """
def run(mini_batch):
    if name(mini_batch[0]) == "0" and not os.path.exists("tried"):
        open("tried", "w").close()
        os.kill(os.getpid(), 9)
    return [name(path) for path in mini_batch]
"""
    done = parallel.run(script, max_retries=1)
    assert (done.returncode, parallel.rows) == (0, ["0", "1"])
    rows = list(csv.DictReader(io.StringIO(parallel.log("sys/job_report/processed_mini-batches.csv"))))
    attempts = [(row["Mini-batch Id"], row["Picked Count"], row["Process"], row["Status"]) for row in rows]
    assert sorted(attempts) == [
        ("0", "1", "process000", "PROCESS_END"),
        ("0", "2", "process001", "RUN_DONE"),
        ("1", "1", "process001", "RUN_DONE"),
    ]
    assert "killed by signal 9" in parallel.log("sys/node/*/process000.txt")


@pytest.mark.parametrize(
    ("failing", "task", "code"),
    [
        ("01", {}, 0),
        ("01", {"mini_batch_error_threshold": 2}, 0),
        ("01", {"mini_batch_error_threshold": 1}, 42),
        ("0123", {}, 42),
        ("01", {"program_arguments": "--allowed_failed_percent 50"}, 0),
        ("01", {"program_arguments": "--allowed_failed_percent=49"}, 42),
        ("01", {"program_arguments": "--error_threshold 1"}, 42),
        ("01", {"program_arguments": "--error_threshold 2"}, 0),
    ],
)
def test_the_thresholds_decide_whether_failures_are_ignored(
    parallel: ParallelFolder, failing: str, task: dict[str, object], code: int
) -> None:
    """The step fails if more has failed than one of its thresholds allows, or if nothing has succeeded."""
    parallel.files(4)
    done = parallel.run(SOME_FAIL.format(failing), **task)
    assert (done.returncode, "Traceback" in done.stdout) == (code, True)
    if not code:
        assert "2 failed. The step completes, because its thresholds allow them." in done.stdout
        assert parallel.rows == ["2", "3"]


def test_missing_results_are_failed_items(parallel: ParallelFolder) -> None:
    """A list that is shorter than its mini-batch counts for error_threshold, and for nothing else."""
    parallel.files(4)
    task = {"mini_batch_size": "4", "mini_batch_error_threshold": 0}
    assert parallel.run("def run(b): return b[1:]", **task).returncode == 0
    done = parallel.run("def run(b): return b[1:]", **task, program_arguments="--error_threshold 0")
    assert (done.returncode, "1 files or rows have no result" in done.stdout) == (42, True)


def test_an_init_that_fails_ends_the_step(parallel: ParallelFolder) -> None:
    """The traceback of init is in the log of the step, whether it raises or the process dies."""
    parallel.files(9)
    done = parallel.run("def init(): raise OSError('no model')\n" + ECHO, max_concurrency_per_instance=2)
    assert (done.returncode, done.stdout.endswith("OSError: no model\n")) == (42, True)
    assert "The parallel step failed. init() failed in 2 processes: OSError: no model." in done.stdout
    done = parallel.run("def init(): os.abort()\n" + ECHO)
    assert (
        done.returncode,
        "init() failed in 1 processes: process000 was killed by signal 6" in done.stdout,
    ) == (
        42,
        True,
    )


def test_an_error_in_shutdown_is_shown_and_does_not_fail_the_step(parallel: ParallelFolder) -> None:
    """The results are there, and the error is in the log."""
    parallel.files(1)
    done = parallel.run(ECHO + "\ndef shutdown(): 1 / 0")
    assert (done.returncode, parallel.rows) == (0, ["0"])
    assert "shutdown() failed in process000: ZeroDivisionError" in done.stdout


def test_an_input_that_cannot_be_divided_fails_with_the_reason(parallel: ParallelFolder) -> None:
    """An empty folder is no success."""
    done = parallel.run(ECHO)
    assert done.returncode == 42
    assert "The input data cannot be divided: folder '.' in" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_workers_and_keeps_the_results(parallel: ParallelFolder, number: int) -> None:
    """The rows that were returned before the signal are in the output, no process is left, and no temporary file."""
    parallel.files(2)
    os.mkfifo(parallel.work / "pid")
    script = """
import threading
def run(mini_batch):
    if name(mini_batch[0]) == "1":
        with open("pid", "w") as pipe: pipe.write(str(os.getpid()))
        threading.Event().wait()
    return [name(path) for path in mini_batch]
"""
    with subprocess.Popen(parallel.command(script), stdout=subprocess.PIPE, start_new_session=True) as child:
        worker = int((parallel.work / "pid").read_text())
        os.kill(child.pid, number)
        child.communicate(timeout=600)
    assert (child.returncode, parallel.rows) == (128 + number, ["0"])
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert list(parallel.folder.glob("mini-batches-*")) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_an_output_that_cannot_be_written_fails_the_step(parallel: ParallelFolder) -> None:
    """Results that are not in the output are no success."""
    parallel.files(1)
    parallel.output.symlink_to("/dev/full")
    done = parallel.run(ECHO)
    assert (done.returncode, "No space left on device" in done.stdout) == (42, True)
