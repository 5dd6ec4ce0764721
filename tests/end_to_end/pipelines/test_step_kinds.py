"""Parallel, distributed, sweep and Spark steps of a file in Microsoft's format, with amllog in their scripts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from amllog.insights import connect
from amllog.local.checks.file_check import CheckOptions, check_file
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.execution.step_events import RunStatus, StepState, StepStatus

# Run metrics would import azureml in each process.
PIPELINE = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
inputs:
  images: {type: uri_folder, path: ./images}
jobs:
  score:
    type: parallel
    inputs: {images: "${{parent.inputs.images}}"}
    outputs: {rows: {type: uri_file}}
    input_data: ${{inputs.images}}
    mini_batch_size: "1"
    mini_batch_error_threshold: 0
    max_concurrency_per_instance: 1
    retry_settings: {max_retries: 0, timeout: 60}
    resources: {instance_count: 2}
    environment_variables: {AMLLOG_METRICS: none, AMLLOG_EXPORTER: none}
    task:
      type: run_function
      code: ./code
      entry_script: score.py
      environment: azureml:any@latest
      program_arguments: --bad BAD
      append_row_to: ${{outputs.rows}}
  count:
    command: sort ${{inputs.rows}}; echo "rank $RANK of $WORLD_SIZE on node $NODE_RANK"
    inputs: {rows: "${{parent.jobs.score.outputs.rows}}"}
    environment: azureml:any@latest
    resources: {instance_count: 2}
    distribution: {type: pytorch, process_count_per_instance: 1}
  words:
    type: spark
    code: ./code
    entry: {file: score.py}
    resources: {instance_type: standard_e8s_v3, runtime_version: "3.4"}
"""
SCORE = """
import argparse, os
import amllog
def init():
    global log, bad
    parser = argparse.ArgumentParser()
    parser.add_argument("--bad")
    bad = parser.parse_known_args()[0].bad
    log = amllog.setup()
def run(mini_batch, mini_batch_context):
    names = [os.path.basename(name) for name in mini_batch]
    log.info("scored", number=mini_batch_context.minibatch_index)
    if bad in names: raise ValueError("bad file")
    return names
"""


class KeptLines:
    """An observer that keeps the lines."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def started(self, run: RunStatus) -> None:
        """Ignore the call."""

    def changed(self, step: StepStatus) -> None:
        """Ignore the call."""

    def line(self, step_name: str, text: str) -> None:
        """Keep the line."""
        self.lines.setdefault(step_name, []).append(text)

    def ended(self, run: RunStatus) -> None:
        """Ignore the call."""


def test_each_kind_of_step_runs_or_has_a_reason(tmp_path: Path) -> None:
    """Records of workers belong to the run of the step, each rank has a log, and Spark without pyspark is skipped."""
    for name, text in {
        "images/1": "",
        "images/2": "",
        "code/score.py": SCORE,
        "pipeline.yml": PIPELINE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    options, environ = RunOptions(directory=tmp_path), {"PATH": os.environ["PATH"]}
    plan, findings = check_file(tmp_path / "pipeline.yml", {}, CheckOptions(directory=tmp_path))
    assert plan is not None, findings
    lines = KeptLines()
    result = run(plan, options, lines, environ)
    assert result.step("score").state is StepState.COMPLETED
    assert sorted(lines.lines["count"]) == [
        "[0] 1", "[0] 2", "[0] rank 0 of 2 on node 0", "[1] 1", "[1] 2", "[1] rank 1 of 2 on node 1",
    ]  # fmt: skip
    log = result.folder / "steps/count/user_logs/std_log_process_01.txt"
    assert log.read_text() == "1\n2\nrank 1 of 2 on node 1\n"
    if importlib.util.find_spec("pyspark") is None:
        assert (result.step("words").state, result.exit_code) == (StepState.SKIPPED, 1)
        assert "needs pyspark" in result.step("words").reason

    (tmp_path / "pipeline.yml").write_text(PIPELINE.replace("BAD", "2"))
    plan, findings = check_file(tmp_path / "pipeline.yml", {}, CheckOptions(directory=tmp_path))
    assert plan is not None, findings
    failed = run(plan, options, KeptLines(), environ)
    assert (failed.step("score").exit_code, failed.step("count").state) == (42, StepState.SKIPPED)
    questions = connect(tmp_path / ".amllog")
    for local in (result, failed):
        rows = questions.logs(local.step("score").run_id, contains="scored")
        assert [row["parent_run_id"] for row in rows] == [local.run_id] * 2
    (error,) = questions.exceptions(failed.run_id)
    assert (error["type"], error["step_name"]) == ("ValueError", "score")
