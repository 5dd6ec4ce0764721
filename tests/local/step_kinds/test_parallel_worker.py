"""Entry scripts in worker processes: what they find, what they may return, and how they fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import ParallelFolder


def test_a_script_has_its_functions_arguments_and_logs(parallel: ParallelFolder) -> None:
    """init, run and shutdown are called in one process, with the words of the job and the EntryScript of Azure ML."""
    parallel.files(2)
    script = """
import argparse, logging, sys
from azureml_user.parallel_run import EntryScript
def init():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    print("init", parser.parse_known_args()[0].model, EntryScript().agent_name, os.getcwd(), sys.path[0])
def run(mini_batch, mini_batch_context):
    EntryScript().logger.info("batch %s", mini_batch_context.minibatch_index)
    logging.getLogger("lib").info("from a library")
    print("to stderr", file=sys.stderr)
    return [name(path) for path in mini_batch]
def shutdown():
    print("shutdown")
"""
    done = parallel.run(script, program_arguments="--model '${{inputs.model}}'")
    assert (done.returncode, parallel.rows) == (0, ["0", "1"])
    stdout = parallel.log("user/stdout/*/process000.stdout.txt")
    assert stdout.splitlines()[0] == f"init a b process000 {parallel.work} {parallel.work}"
    assert stdout.splitlines()[-1] == "shutdown"
    assert "|lib|INFO|" in stdout
    assert parallel.log("user/stderr/*/process000.stderr.txt") == "to stderr\n" * 2
    assert "|batch 1\n" in parallel.log("user/entry_script_log/*/process000.log.txt")


def test_a_script_that_rejects_unknown_words_fails_as_in_azure_ml(parallel: ParallelFolder) -> None:
    """The service adds words of its own, so `parse_args` fails in init(), and the step with it."""
    parallel.files(1)
    script = "import argparse\ndef init(): argparse.ArgumentParser().parse_args()\ndef run(b): return b"
    done = parallel.run(script)
    assert done.returncode == 42
    assert "init() failed in process000: SystemExit: 2" in done.stdout
    assert "unrecognized arguments: --scoring_module_name score.py" in parallel.log("user/stderr/*/*.txt")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("pass", "TypeError: run() returned None. It must return a list or a pandas DataFrame"),
        ("return {1: 2}", "TypeError: run() returned an object of type dict."),
        ("raise ValueError('bad file')", "ValueError: bad file"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("os._exit(0)", "process000 ended with exit code 0 while run() had the mini-batch"),
        ("os.kill(os.getpid(), 9)", "process000 was killed by signal 9 while run() had the mini-batch"),
    ],
)
def test_a_failure_in_run_is_the_cause_of_the_step(parallel: ParallelFolder, body: str, cause: str) -> None:
    """The cause is in the log of the step and in the files of the service. The exit code is 42."""
    parallel.files(1)
    done = parallel.run(f"def run(mini_batch): {body}")
    assert (done.returncode, cause in done.stdout) == (42, True)
    assert cause in parallel.log("user/error.txt")
    assert cause in parallel.log("user/error/*/process000.txt")
    assert "The parallel step failed. All 1 mini-batches failed." in parallel.log("job_error.*.txt")
    assert parallel.log("job_error.*.txt") == parallel.log("job_result.*.txt")


def test_a_traceback_begins_in_the_script(parallel: ParallelFolder) -> None:
    """The frames of the worker are not in it, also for a script that cannot be imported."""
    parallel.files(1)
    done = parallel.run("def run(mini_batch): return open('none')")
    assert f'last):\n  File "{parallel.work}/score.py", line 3, in run\n' in done.stdout
    done = parallel.run("import no_such_module")
    assert done.returncode == 42
    assert f'last):\n  File "{parallel.work}/score.py", line 3, in <module>\n' in done.stdout
    assert "has no function run(mini_batch)" in parallel.run("run = 3").stdout


def test_prints_of_a_process_that_is_killed_are_kept(parallel: ParallelFolder) -> None:
    """Each line is in the file when the next one begins, although stdout is no terminal."""
    parallel.files(1)
    parallel.run("def run(b):\n for n in range(100): print(n)\n os.kill(os.getpid(), 9)")
    assert parallel.log("user/stdout/*/*.txt").splitlines() == [str(n) for n in range(100)]


def test_a_run_that_hangs_is_killed_and_its_place_is_known(parallel: ParallelFolder) -> None:
    """The time limit kills the process and its children. The file of its errors has the line in which it was."""
    parallel.files(1)
    # The child starts in init(), which has no limit, so that run() waits at once on a loaded machine too.
    script = (
        "import subprocess\ndef init():\n global child\n child = subprocess.Popen(['sleep', '1000'])\n"
        " print(child.pid)\ndef wait(): child.wait()\ndef run(mini_batch): wait()"
    )
    done = parallel.run(script, timeout_seconds=0.1)
    assert done.returncode == 42
    assert "run() did not end within 0.1 seconds. process000 was killed" in done.stdout
    assert 'score.py", line 8 in wait' in parallel.log("user/error/*/process000.txt")
    child = Path("/proc", parallel.log("user/stdout/*/process000.stdout.txt").strip(), "stat")
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert "RUN_TIMEOUT" in parallel.log("sys/job_report/*.csv")


def test_a_table_gives_data_frames_and_their_rows(parallel: ParallelFolder) -> None:
    """Mini-batches of a table are DataFrames by partition key. The rows that run returns have no header."""
    parallel.table("store,brand,n\n1,x,5\n2,y,6\n1,x,7\n")
    script = "def run(frame, context): return frame.assign(key=str(context.partition_key_value))"
    done = parallel.run(script, mini_batch_size="", partition_keys=("store", "brand"))
    assert (done.returncode, "2 of 2 mini-batches succeeded, 0 failed." in done.stdout) == (0, True)
    assert parallel.rows[0] == """1 x 5 "{'store': 1, 'brand': 'x'}\""""
    assert len(parallel.rows) == 3
