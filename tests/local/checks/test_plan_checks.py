"""Tests of the checks of a resolved plan."""

from __future__ import annotations

from pathlib import Path

from amllog.local.checks.plan_checks import check_plan
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine, StepKind, SweepTask

LINE = SourceLine(Path("/project/pipeline.yml"), 5)


def test_a_correct_plan_has_no_finding() -> None:
    """A plan without a fault gives nothing."""
    assert check_plan(PlannedPipeline("p", LINE, (PlannedStep("a", LINE, command="echo 1"),))) == []


def test_steps_that_do_not_run_are_not_checked(project) -> None:
    """A skipped step has no findings. A step that cannot run here is a warning with its reason and the option."""
    project.add("python no.py")
    assert check_plan(project.plan(), ignored=["s0"]) == []
    project.add(kind=StepKind.UNSUPPORTED, skip_reason="automl is a service")
    assert project.findings()[0] == (
        "pipeline.yml:3: warning: the step s1 is skipped: automl is a service. --stub s1=FOLDER provides its outputs"
    )
    assert check_plan(project.plan(), ignored=["s0", "s1"]) == []


def test_an_invalid_sweep_is_an_error_at_its_key(project) -> None:
    """Problems of a sweep are known before it runs. Each is at the line of the key that it names."""
    space = {"c": {"type": "choice", "values": []}}
    lines = {"search_space": SourceLine(project.file, 7)}
    project.add("echo ${{search_space.c}}", kind=StepKind.SWEEP, sweep=SweepTask(space), key_positions=lines)
    assert project.findings() == [
        "pipeline.yml:1: objective.primary_metric is missing",
        "pipeline.yml:7: search_space.c has the values [], which must be a list of at least one value",
    ]


def test_values_that_stop_a_parallel_step_are_found(project) -> None:
    """A size that does not fit to files and an unknown level are errors before the run."""
    from amllog.local.plan.planned_steps import LocalData, ParallelTask, StepKind

    folder = project.write("data/a.txt").parent
    script = project.write("score.py", "def run(mini_batch): return mini_batch")
    task = ParallelTask(script.name, "data", mini_batch_size="10kb", logging_level="LOUD")
    project.add(
        kind=StepKind.PARALLEL,
        code=project.folder,
        parallel=task,
        inputs={"data": LocalData(folder, "uri_folder")},
    )
    assert project.findings() == [
        "pipeline.yml:1: logging_level is 'LOUD', which must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "pipeline.yml:1: mini_batch_size is '10kb', which must be a number of files, such as 10",
    ]
