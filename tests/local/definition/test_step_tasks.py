"""Tests of the keys of single types of steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.plan.planned_steps import (
    Distribution,
    ParallelTask,
    PlannedStep,
    Severity,
    SparkTask,
    StepKind,
    SweepTask,
)
from tests.local.definition.conftest import Reader

PARALLEL = """\
type: parallel
inputs:
  data: {type: mltable, path: ./t}
  model: {type: uri_folder, path: ./m}
outputs: {rows: {type: uri_file}}
input_data: ${{inputs.data}}
mini_batch_size: "10kb"
partition_keys: [Store, Brand]
resources: {instance_count: 2}
max_concurrency_per_instance: 3
mini_batch_error_threshold: 5
logging_level: debug
retry_settings: {max_retries: 1, timeout: 30}
environment_variables: {A: b}
task:
  type: run_function
  code: ./script
  entry_script: score.py
  environment: azureml:prs@latest
  program_arguments: --model ${{ inputs.model }}
  append_row_to: ${{outputs.rows}}
"""
TRIAL = """\
type: command
inputs: {rate: {type: number}, data: {type: uri_file}, kind: {type: string, default: a}}
outputs: {model: {type: mlflow_model}}
code: ./src
environment: azureml:e
command: python t.py --rate ${{inputs.rate}} --data ${{inputs.data}} --kind ${{inputs.kind}}
"""
SWEEP = """\
type: sweep
inputs: {data: {type: uri_file, path: ./d.csv}}
outputs: {model: }
trial: ./trial.yml
sampling_algorithm: {type: random, seed: 7}
search_space: {rate: {type: uniform, min_value: 0.1, max_value: 1}}
objective: {goal: maximize, primary_metric: auc}
limits: {max_total_trials: 4, max_concurrent_trials: 2, timeout: 100, trial_timeout: 9}
early_termination: {type: bandit, slack_factor: 0.1, evaluation_interval: 1}
"""
SPARK = """\
type: spark
code: ./src
entry: {file: main.py}
args: --in ${{inputs.x}}
inputs: {x: {type: uri_file, path: ./a}}
conf: {spark.driver.cores: 1}
py_files: [a.zip]
jars: b.jar
files: [c.txt]
"""


def single(read: Reader, text: str, **files: str) -> PlannedStep:
    """Return the step of a job of one step."""
    result = read(text, **files)
    assert [str(f) for f in result.findings if f.severity is not Severity.NOTE] == []
    assert result.pipeline is not None
    return result.pipeline.steps[0]


def test_parallel_steps(read: Reader, tmp_path: Path) -> None:
    """All keys of a parallel step are in its task, and its code is relative to the file."""
    step = single(read, PARALLEL)
    assert (step.kind, step.code, step.environment_variables) == (
        StepKind.PARALLEL, tmp_path / "script", {"A": "b"},
    )  # fmt: skip
    assert step.environment and step.environment.name == "azureml:prs@latest"
    assert step.parallel == ParallelTask(
        "score.py", "data", "--model ${{inputs.model}}", "10kb", ("Store", "Brand"), 5, "DEBUG", 3, 2, 1, 30,
        "${{outputs.rows}}",
    )  # fmt: skip


def test_parallel_components(read: Reader) -> None:
    """A step overrides the keys of its parallel component."""
    text = (
        "type: pipeline\njobs:\n  p:\n    type: parallel\n    component: ./c.yml\n    mini_batch_size: '5'\n"
    )
    component = PARALLEL.replace("{type: mltable, path: ./t}", "{type: mltable}").replace(", path: ./m", "")
    result = read(text + "    inputs: {data: ./t, model: ./m}\n", c=component)
    assert result.findings == []
    assert result.pipeline and result.pipeline.steps[0].parallel
    assert result.pipeline.steps[0].parallel.mini_batch_size == "5"
    assert result.pipeline.steps[0].parallel.max_retries == 1


@pytest.mark.parametrize("trial", ["./trial.yml", "file:trial.yml"])
def test_sweep_steps(read: Reader, tmp_path: Path, trial: str) -> None:
    """A sweep has the command of its trial, with the parameters of the search space."""
    step = single(read, SWEEP.replace("./trial.yml", trial), trial=TRIAL)
    assert step.kind is StepKind.SWEEP
    assert step.command == (
        "python t.py --rate ${{search_space.rate}} --data ${{inputs.data}} --kind ${{inputs.kind}}"
    )
    assert set(step.inputs) == {"data", "kind"}
    assert (step.outputs["model"].type, step.code, step.timeout_seconds) == (
        "mlflow_model", tmp_path / "src", 100,
    )  # fmt: skip
    space = {"rate": {"type": "uniform", "min_value": 0.1, "max_value": 1}}
    assert step.sweep == SweepTask(space, "random", 7, "maximize", "auc", 4, 2, 9, "bandit")


def test_inline_trials(read: Reader) -> None:
    """An inline trial uses the inputs and outputs of the sweep."""
    command = "x ${{inputs.data}} ${{search_space.rate}} ${{outputs.model}}"
    trial = f"{{code: src, command: '{command}', environment: azureml:e}}"
    step = single(read, SWEEP.replace("./trial.yml", trial))
    assert step.command == command


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("uniform", "unifrom", "6: unknown type 'unifrom' of a search space. Did you mean 'uniform'?"),
        (", max_value: 1", "", "6: search_space.rate of the type uniform has no max_value"),
        (", max_value: 1", ", max_value: x", "6: max_value = 'x': allowed is a number"),
        ("maximize", "max", "7: unknown goal 'max': allowed are maximize, minimize"),
        ("{type: random, seed: 7}", "hyperband", "5: unknown sampling algorithm 'hyperband': allowed are"),
        (
            "{type: random, seed: 7}",
            "bayesian",
            "5: warning: bayesian sampling is replaced by random sampling",
        ),
        ("objective: {goal: maximize, primary_metric: auc}\n", "", "1: the sweep has no objective"),
        (
            "primary_metric",
            "primary_metrics",
            "7: unknown key 'primary_metrics'. Did you mean 'primary_metric'?",
        ),
        (", primary_metric: auc", "", "7: the objective has no primary_metric"),
        (
            ", max_value: 1}",
            ", max_value: 1}, kid: {type: choice, values: [1]}",
            "6: the trial has no input 'kid'. Did you mean 'kind'?",
        ),
        ("trial: ./trial.yml\n", "", "1: the sweep has no trial"),
        (
            "max_total_trials: 4",
            "max_total_trials: 0",
            "8: max_total_trials = '0': allowed is a number of at least 1",
        ),
    ],
)
def test_mistakes_in_sweeps(read: Reader, old: str, new: str, expected: str) -> None:
    """A mistake in a sweep is one finding, besides the note about early termination."""
    findings = [
        f for f in read(SWEEP.replace(old, new), trial=TRIAL).findings if f.severity is not Severity.NOTE
    ]
    assert [str(f)[: len("pipeline.yml:") + len(expected)] for f in findings] == [f"pipeline.yml:{expected}"]


def test_numbers_of_a_search_space(read: Reader) -> None:
    """The value 1e-4 is a string of YAML 1.1, and still a number. The sampling stays that of the file."""
    step = single(
        read, SWEEP.replace("0.1, max", "1e-4, max").replace("random, seed: 7", "grid"), trial=TRIAL
    )
    assert step.sweep is not None
    assert step.sweep.search_space["rate"]["min_value"] == 0.0001
    plan = read(SWEEP.replace("{type: random, seed: 7}", "bayesian"), trial=TRIAL).pipeline
    assert plan is not None and plan.steps[0].sweep is not None
    assert plan.steps[0].sweep.sampling_algorithm == "bayesian"


def test_lists_with_other_values_are_findings(read: Reader) -> None:
    """A list of paths has only strings, and a list is not a string."""
    texts = {
        SPARK.replace("[a.zip]", "[{file: a.zip}]"): "7: py_files contains a mapping: allowed are strings",
        "command: x\nenvironment: azureml:e\nadditional_includes: common\n": (
            "3: additional_includes = 'common': allowed is a list of paths"
        ),
    }
    for text, expected in texts.items():
        assert [str(finding) for finding in read(text).findings] == [f"pipeline.yml:{expected}"]


def test_early_termination_is_a_note(read: Reader) -> None:
    """A policy of early termination is reported as ignored."""
    assert [str(f) for f in read(SWEEP, trial=TRIAL).findings] == [
        "pipeline.yml:9: note: early termination is ignored on this machine"
    ]


def test_spark_steps(read: Reader, tmp_path: Path) -> None:
    """All keys of a spark step are in its task."""
    step = single(read, SPARK)
    assert (step.kind, step.code) == (StepKind.SPARK, tmp_path / "src")
    assert step.spark == SparkTask(
        "main.py", "--in ${{inputs.x}}", {"spark.driver.cores": 1}, ("a.zip",), ("b.jar",), ("c.txt",)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{type: mpi, process_count_per_instance: 4}", Distribution("mpi", 4, 2, 0)),
        (
            "{type: tensorflow, worker_count: 3, parameter_server_count: 1}",
            Distribution("tensorflow", 3, 2, 1),
        ),
        ("{type: tensorflow}", Distribution("tensorflow", 2, 2, 0)),
        ("{type: PyTorch}", Distribution("pytorch", 1, 2, 0)),
    ],
)
def test_distributions(read: Reader, text: str, expected: Distribution) -> None:
    """The distribution has the processes of one node and the number of nodes."""
    job = f"command: x\nenvironment: azureml:e\nresources: {{instance_count: 2}}\ndistribution: {text}\n"
    assert single(read, job).distribution == expected


def test_ray_and_jars_are_skipped(read: Reader) -> None:
    """A distribution by ray and a class of a jar cannot run here, and are skipped with a reason."""
    ray = single(read, "command: x\nenvironment: azureml:e\ndistribution: {type: ray}\n")
    jar = single(read, SPARK.replace("{file: main.py}", "{class_name: a.B}"))
    assert [(step.kind, step.skip_reason) for step in (ray, jar)] == [
        (StepKind.UNSUPPORTED, "its distribution is ray"), (StepKind.UNSUPPORTED, "its entry is a class of a jar"),
    ]  # fmt: skip


def test_step_keys_override_those_of_the_component(read: Reader) -> None:
    """Timeout, retries, reuse and variables of a step, over those of its component and settings."""
    component = "type: command\ncommand: x\nenvironment: azureml:e\nenvironment_variables: {A: 1, B: 2}\n"
    text = """\
type: pipeline
settings: {force_rerun: true}
jobs:
  s:
    component: ./c.yml
    limits: {timeout: 5}
    retry_settings: {max_retries: 2}
    environment_variables: {B: 3}
"""
    step = single(read, text, c=component)
    assert (step.timeout_seconds, step.max_retries, step.is_reuse_allowed) == (5, 2, False)
    assert step.environment_variables == {"A": "1", "B": "3"}
    again = single(read, text.replace("true", "false"), c=component + "is_deterministic: false\n")
    assert not again.is_reuse_allowed
    assert single(read, text.replace("true", "false"), c=component).is_reuse_allowed


def test_additional_includes(read: Reader, tmp_path: Path) -> None:
    """Files and folders of `additional_includes` are relative to the component. Others are a finding or a reason."""
    (tmp_path / "common").mkdir()
    text = "command: x\nenvironment: azureml:e\nadditional_includes: [common]\n"
    assert single(read, text).code_includes == (tmp_path / "common",)
    assert str(read(text.replace("common", "other")).findings[0]) == (
        f"pipeline.yml:3: additional_includes: {tmp_path}/other does not exist"
    )
    step = single(read, text.replace("common", "{type: git, repo: x}"))
    assert step.skip_reason == "its additional_includes are not on this machine"
