"""The cause of a failed ParallelRunStep."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.insights.driver_logs.log_folders import find_jobs
from amllog.insights.driver_logs.parallel_causes import MAX_SHOWN, ParallelCause, find_cause

from .conftest import write_files  # isort: skip

TRACEBACK = 'Traceback (most recent call last):\n  File "score.py", line 7, in run\nMyProblem: row 3\n'
STDOUT, STDERR = "logs__user__stdout__node0__process{}.stdout", "logs__user__stderr__node0__process{}.stderr"


def cause_of(folder: Path, **files: str) -> ParallelCause | None:
    """Return the cause in a job with these files."""
    (job,) = find_jobs(write_files(folder, **files), [])
    return find_cause(job)


def test_the_order_of_the_files(tmp_path: Path) -> None:
    """The traceback of the entry script comes before errors of the system, and a summary of names only after both."""
    files = {
        "logs__job_error": "The job failed. See process001.\n",
        "logs__user__error__node0__process001": f"2026|ERROR|7|{TRACEBACK}",
        STDOUT.format("001"): "RuntimeError: printed\n",
        "logs__sys__error__node0__process001": "SystemError: stuck\n",
    }
    expected = [
        ("logs/user/error/node0/process001.txt", "MyProblem: row 3"),
        ("logs/user/stdout/node0/process001.stdout.txt", "RuntimeError: printed"),
        ("logs/sys/error/node0/process001.txt", "SystemError: stuck"),
        ("logs/job_error.txt", "The job failed. See process001."),
    ]
    causes = []
    for number, name in enumerate((*list(files)[1:], "")):
        cause = cause_of(tmp_path / str(number), **files)
        assert cause is not None
        causes.append((cause.file, cause.lines[-1]))
        files.pop(name, None)
    assert causes == expected


def test_a_summary_with_an_exception_is_the_cause(tmp_path: Path) -> None:
    """The summary of the job is first if it has the exception."""
    files = {
        "logs__job_error": f"Failed:\n{TRACEBACK}\n",
        "logs__user__error__n__process000": "OSError: other\n",
    }
    cause = cause_of(tmp_path, **files)
    assert cause == ParallelCause("logs/job_error.txt", tuple(TRACEBACK.splitlines()))


def test_the_output_of_the_process_that_failed(tmp_path: Path) -> None:
    """Without a file of errors, the table of batches names the process whose output has the cause."""
    table = "Mini-batch Id,Process,Failed,Status\n0,process000,0,RUN_DONE\n1,process002,1,RUN_EXCEPTION\n"
    files = {STDOUT.format(f"00{number}"): f"ValueError: {number}\n" for number in range(3)}
    (tmp_path / "logs/sys/job_report").mkdir(parents=True)
    (tmp_path / "logs/sys/job_report/processed_mini-batches.csv").write_text(table)
    assert cause_of(tmp_path, **files) == ParallelCause(
        "logs/user/stdout/node0/process002.stdout.txt", ("ValueError: 2",)
    )


@pytest.mark.parametrize("rest", ['"' + "x" * 90_000 + "\n" + "x" * 90_000, "\0,process001,1,FAIL"])
def test_a_damaged_table(tmp_path: Path, rest: str) -> None:
    """The rows before a damaged one count."""
    files = {STDOUT.format(f"00{number}"): f"ValueError: {number}\n" for number in range(3)}
    (tmp_path / "logs/sys").mkdir(parents=True)
    table = f"Id,Process,Failed,Status\n0,process000,1,FAIL\n{rest}\n"
    (tmp_path / "logs/sys/processed_tasks.csv").write_text(table)
    cause = cause_of(tmp_path, **files)
    assert cause == ParallelCause("logs/user/stdout/node0/process000.stdout.txt", ("ValueError: 0",))


def test_a_native_crash(tmp_path: Path) -> None:
    """A crash without a traceback is in the stderr of the process that the summary names."""
    files = {"logs__job_error": "process000 ended with -11\n", STDERR.format("000"): "Segmentation fault\n"}
    cause = cause_of(tmp_path, **files)
    assert cause == ParallelCause("logs/user/stderr/node0/process000.stderr.txt", ("Segmentation fault",))


def test_a_chain_of_exceptions(tmp_path: Path) -> None:
    """The exception that caused another one is shown with it, and long stacks are bounded."""
    chain = (
        f"{TRACEBACK}\nThe above exception was the direct cause of the following exception:\n\n{TRACEBACK}"
    )
    cause = cause_of(tmp_path / "chain", logs__user__error__n__process000=f"OSError: first\n{chain}")
    assert cause is not None
    assert cause.lines == tuple(line for line in chain.splitlines() if line)
    deep = "Traceback (most recent call last):\n" + '  File "x"\n' * 10_000 + "RecursionError: deep\n"
    cause = cause_of(tmp_path / "deep", logs__user__error__n__process000=deep)
    assert cause is not None
    assert (len(cause.lines), cause.lines[-1]) == (MAX_SHOWN, "RecursionError: deep")


def test_no_cause(tmp_path: Path) -> None:
    """A job that is not parallel, and one whose output only mentions an error, have no cause."""
    assert cause_of(tmp_path / "one", user_logs__std_log=TRACEBACK) is None
    assert cause_of(tmp_path / "two", **{STDOUT.format("000"): "ValueError: handled\n"}) is None
