"""Ctrl-C and SIGTERM during a run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amllog.local.execution.past_runs import past_runs
from amllog.local.execution.step_events import RunState
from amllog.local.execution.stop_signals import StopSignals
from tests.local.execution.test_past_runs import is_gone, start_run


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_a_signal_stops_everything(tmp_path: Path, number: int, code: int, word: str) -> None:
    """All steps are stopped, their last lines are shown and kept, no step starts, and the states are written."""
    steps = []
    for name in ("a", "b"):
        steps += [name, "trap 'echo last; exit 1' TERM; echo $$; while :; do sleep 0.05; done", ""]
    with start_run(tmp_path, *steps, "later", "true", "a b") as process:
        assert process.stdout
        pids = [int(process.stdout.readline().split()[1]) for _ in "ab"]
        process.send_signal(number)
        rest = process.stdout.read().splitlines()
        assert process.wait() == code
    assert {"a last", "b last"} <= set(rest)
    assert all(is_gone(pid) for pid in pids)
    (run,) = past_runs(tmp_path / "amllog-runs")
    assert run.state is RunState.CANCELED
    assert {name: (record.state.value, record.reason) for name, record in run.steps.items()} == dict.fromkeys(
        ("a", "b", "later"), ("canceled", f"stopped by {word}")
    )


def test_the_second_signal_kills(tmp_path: Path) -> None:
    """A step that ignores SIGTERM is killed by the second Ctrl-C, without the grace."""
    with start_run(
        tmp_path, "a", "trap 'echo ignored' TERM; echo $$; while :; do sleep 0.05; done", ""
    ) as process:
        assert process.stdout
        pid = int(process.stdout.readline().split()[1])
        process.send_signal(signal.SIGINT)
        while process.stdout.readline() != "a ignored\n":
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert is_gone(pid)
    (run,) = past_runs(tmp_path / "amllog-runs")
    assert run.steps["a"].exit_code == -signal.SIGKILL


def test_handlers_are_restored() -> None:
    """The handlers before the run are those after it. In another thread, none is replaced."""
    before = signal.getsignal(signal.SIGINT)
    with StopSignals(lambda number: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    seen = []

    def enter() -> None:
        with StopSignals(lambda number: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_third_signal_ends_the_process(tmp_path: Path) -> None:
    """A run that cannot end, for example because a disk hangs, ends with the third Ctrl-C."""
    code = (
        "import os, signal; from amllog.local.execution.stop_signals import StopSignals\n"
        "with StopSignals(print):\n while True: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    process = subprocess.run([sys.executable, "-uc", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert (process.stdout, process.returncode) == ("2\n2\n", -signal.SIGINT)


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    """A run in the background of a shell, which ignores SIGINT, is not stopped by it."""
    code = (
        "import os, signal; from amllog.local.execution.stop_signals import StopSignals\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with StopSignals(print): os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    assert process.stdout == "15\n"
