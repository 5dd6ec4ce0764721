"""Sweeps with real trials, whose metrics go to the local Azure."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.execution.step_events import RunResult, RunState, RunStatus, StepStatus
from amllog.local.plan.planned_steps import (
    LocalData,
    ParallelTask,
    PlannedOutput,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
    SweepTask,
)

# Logs the metric `loss` over MLflow's REST API, as a script without any library can.
LOG = """python -S -c '
import json, os, sys, time, urllib.request as u
e = os.environ
body = {"run_id": e["MLFLOW_RUN_ID"], "key": "loss", "value": float(sys.argv[1]), "timestamp": int(time.time() * 1000)}
headers = {"Authorization": "Bearer " + e["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"}
address = e["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
u.urlopen(u.Request(address, json.dumps(body).encode(), headers), timeout=300)
' """
GRID = SweepTask(
    {"x": {"type": "choice", "values": [3, 1, 2]}}, sampling_algorithm="grid", primary_metric="loss"
)
POSITION = SourceLine(Path("pipeline.yml"), 1)


class Lines:
    """An observer that keeps the lines, and acts on them."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.signal_at = ""

    def started(self, run: RunStatus) -> None:
        """Ignore the call."""

    def changed(self, step: StepStatus) -> None:
        """Ignore the call."""

    def line(self, step_name: str, text: str) -> None:
        """Keep the line."""
        self.lines.append((step_name, text))
        if self.signal_at and text == self.signal_at:
            os.kill(os.getpid(), signal.SIGINT)

    def ended(self, run: RunStatus) -> None:
        """Ignore the call."""


def sweep(command: str, task: SweepTask = GRID, **fields: object) -> PlannedStep:
    """Return a sweep step with the output `model`."""
    outputs = {"model": PlannedOutput()}
    return PlannedStep(
        "search",
        POSITION,
        StepKind.SWEEP,
        command=command,
        sweep=task,
        outputs=outputs,
        interpreter=Path(sys.executable),
        **fields,
    )  # type: ignore[arg-type]  # fields of the step


def run_steps(folder: Path, *steps: PlannedStep, lines: Lines | None = None, **options: object) -> RunResult:
    """Run steps as a pipeline."""
    plan = PlannedPipeline("test", POSITION, steps, source=Path("pipeline.yml"))
    given = RunOptions(directory=folder, **options)  # type: ignore[arg-type]  # fields of the options
    return run(plan, given, lines or Lines(), {"PATH": os.environ["PATH"]})


def test_the_best_trial_is_named_and_its_outputs_go_on(tmp_path: Path) -> None:
    """Each trial is a run with its own metric. The next step reads the output of the best one."""
    command = LOG + "${{search_space.x}}; echo ${{search_space.x}} > ${{outputs.model}}/x"
    show = PlannedStep(
        "show", POSITION, command="cat ${{inputs.model}}/x", inputs={"model": StepOutput("search", "model")}
    )
    lines = Lines()
    task = replace(GRID, early_termination="bandit", max_concurrent_trials=2)
    result = run_steps(tmp_path, sweep(command, task), show, lines=lines, jobs=2)
    assert (result.exit_code, [line for line in lines.lines if line[0] == "show"]) == (0, [("show", "1")])
    text = [text for name, text in lines.lines if name == "search"]
    assert text[0] == "The early termination policy bandit is ignored: every trial runs to its end."
    assert text[1] == "3 trials, 2 at the same time"
    assert sorted(text[2:5]) == [f"search.trial_{n}: loss = {x} (x={x})" for n, x in enumerate((3, 1, 2))]
    assert text[5] == "The best trial is search.trial_1 with the lowest loss: 1 (x=1)"
    assert result.step("search").run_id.startswith("HD_")
    assert (result.folder / "steps/search.trial_2/outputs/model/x").read_text() == "2\n"


def test_trials_and_steps_share_the_jobs(tmp_path: Path) -> None:
    """The trials of a sweep and the steps beside it are together at most as many as `jobs`."""
    count = f"echo + >> {tmp_path}/log; sleep 0.3; echo - >> {tmp_path}/log"
    beside = [PlannedStep(name, POSITION, command=count) for name in ("a", "b")]
    run_steps(tmp_path, sweep(count), *beside, jobs=2)
    running = [0]
    for line in (tmp_path / "log").read_text().split():
        running.append(running[-1] + (1 if line == "+" else -1))
    assert (len(running), max(running), running[-1]) == (11, 2, 0)


def test_failed_trials_and_missing_metrics_are_reported(tmp_path: Path) -> None:
    """A trial that fails or logs nothing is no candidate. The sweep completes with the others."""
    command = "case ${{search_space.x}} in 1) exit 5;; 3) true;; *) " + LOG + "7;; esac"
    lines = Lines()
    result = run_steps(tmp_path, sweep(command), lines=lines)
    texts = [text for name, text in lines.lines if name == "search"]
    assert "search.trial_0: completed without the metric 'loss' (x=3)" in texts
    assert "search.trial_1: failed: exit code 5 (x=1)" in texts
    assert (result.exit_code, texts[-1]) == (
        0,
        "The best trial is search.trial_2 with the lowest loss: 7 (x=2)",
    )


@pytest.mark.parametrize(
    ("command", "reason"),
    [("exit 3", "All 3 trials failed"), ("true", "No completed trial has logged the primary metric 'loss'")],
)
def test_a_sweep_without_a_best_trial_fails(tmp_path: Path, command: str, reason: str) -> None:
    """No success is reported if there is no trial to choose."""
    result = run_steps(tmp_path, sweep(command))
    assert (result.exit_code, result.state, result.step("search").reason) == (1, RunState.FAILED, reason)


def test_an_invalid_search_space_fails_with_its_line(tmp_path: Path) -> None:
    """The reason names the parameter. No trial starts."""
    result = run_steps(tmp_path, sweep("true", replace(GRID, search_space={"x": {"type": "gauss"}})))
    assert result.step("search").reason.startswith(
        "pipeline.yml:1: search: search_space.x has the type 'gauss'"
    )


def test_time_limits_of_trials_and_of_the_sweep(tmp_path: Path) -> None:
    """A trial that hangs is stopped by its limit, and all of them by that of the sweep."""
    hang = "exec sleep 1000"
    limited = replace(GRID, trial_timeout_seconds=0.1, max_total_trials=1)
    assert run_steps(tmp_path, sweep(hang, limited)).step("search").reason == "The only trial failed"
    result = run_steps(tmp_path, sweep(hang, timeout_seconds=0.1))
    assert (result.exit_code, result.step("search").reason) == (1, "timeout after 0.1 s")


def test_ctrl_c_stops_all_trials(tmp_path: Path) -> None:
    """The trials that run are stopped, and those that wait do not start."""
    lines = Lines()
    lines.signal_at = "trial 1"
    result = run_steps(
        tmp_path, sweep("echo trial ${{search_space.x}}; exec sleep 1000"), lines=lines, jobs=2
    )
    assert (result.exit_code, result.step("search").state.value) == (130, "canceled")
    assert ("search.trial_2", "trial 2") not in lines.lines


def test_a_debugger_stops_the_first_trial_and_one_worker(tmp_path: Path) -> None:
    """`--debug` of a sweep means its first trial. A parallel step has one worker, and mini-batches have no limit."""
    mark = ("-S", "-c", "print('debugged')")
    lines = Lines()
    options = {"debug_step": "search", "debug": lambda step, values: mark, "jobs": 1}
    run_steps(tmp_path, sweep("python -S -c 'print(1)'"), lines=lines, **options)
    texts = [text for name, text in lines.lines if name.startswith("search.")]
    assert texts == ["debugged", "1", "1"]

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    (tmp_path / "code.py").write_text("def run(mini_batch): return mini_batch")
    parallel = ParallelTask("code.py", "data", max_concurrency_per_instance=4, timeout_seconds=0.001)
    step = PlannedStep(
        "score", POSITION, StepKind.PARALLEL, code=tmp_path / "code.py", parallel=parallel,
        inputs={"data": LocalData(tmp_path / "data")}, interpreter=Path(sys.executable),
    )  # fmt: skip
    (tmp_path / "prefix.py").write_text(
        f"import runpy, sys; open({str(tmp_path / 'used')!r}, 'a').write('x')\n"
        "del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    options = {"debug_step": "score", "debug": lambda step, values: (str(tmp_path / "prefix.py"),)}
    assert run_steps(tmp_path, step, **options).exit_code == 0
    assert (tmp_path / "used").read_text() == "x"
