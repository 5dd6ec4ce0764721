"""Trials of sweeps as steps, and the choice of the best."""

from dataclasses import replace
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.plan.planned_steps import (
    LiteralValue,
    PlannedOutput,
    PlannedStep,
    SourceLine,
    StepKind,
    SweepTask,
)
from amllog.local.step_kinds.sweep_trials import TrialResult, best, notes, outcome, trials, verdict

TASK = SweepTask(
    {"c": {"type": "choice", "values": [0.5, "rbf"]}},
    sampling_algorithm="grid",
    primary_metric="loss",
    trial_timeout_seconds=9,
    early_termination="bandit",
)
STEP = PlannedStep(
    "sweep",
    SourceLine(Path("job.yml"), 3),
    StepKind.SWEEP,
    command="python x.py --c ${{search_space.c}} --k ${{inputs.c}} --n ${{inputs.n}}",
    inputs={"c": LiteralValue(1.0, "number"), "n": LiteralValue(3, "integer")},
    outputs={"model": PlannedOutput(path=Path("/models"))},
    environment_variables={"C": "${{search_space.c}}"},
    timeout_seconds=100,
    sweep=TASK,
)


def results(*metrics: "float | None", failed: tuple[int, ...] = ()) -> list[TrialResult]:
    """Return the ends of trials with these metrics."""
    trial = trials(STEP)[0]
    return [
        TrialResult(
            replace(trial, step=replace(trial.step, name=f"t{n}")),
            is_completed=n not in failed,
            metric=metric,
        )
        for n, metric in enumerate(metrics)
    ]


def test_a_trial_is_a_command_with_its_values() -> None:
    """References to the search space become values. An input with the name of a parameter gets its value too."""
    first, second = (trial.step for trial in trials(STEP))
    assert [first.name, second.name] == ["sweep.trial_0", "sweep.trial_1"]
    assert first.command == "python x.py --c 0.5 --k ${{inputs.c}} --n ${{inputs.n}}"
    assert (first.inputs["c"], second.inputs["c"]) == (
        LiteralValue(0.5, "number"),
        LiteralValue("rbf", "string"),
    )
    assert first.inputs["n"] == STEP.inputs["n"]
    assert second.environment_variables == {"C": "rbf"}
    assert (first.kind, first.sweep, first.timeout_seconds) == (StepKind.COMMAND, None, 9)
    assert first.outputs == {"model": PlannedOutput()}


def test_an_invalid_sweep_is_an_error_with_all_problems() -> None:
    """The error has the line of the step and each problem."""
    step = replace(STEP, sweep=replace(TASK, goal="low", primary_metric=""))
    with pytest.raises(UsageError, match=r"(?s)job.yml:3: sweep: .*primary_metric.*job.yml:3: sweep: .*goal"):
        trials(step)


@pytest.mark.parametrize(("goal", "name"), [("minimize", "t1"), ("maximize", "t2")])
def test_the_best_trial_is_that_of_the_goal(goal: str, name: str) -> None:
    """Failed trials, trials without the metric and NaN are never the best. The first one wins a tie."""
    ends = results(-9.0, 1.0, 2.0, 1.0, None, float("nan"), 2.0, failed=(0,))
    winner = best(ends, goal)
    assert winner is not None
    assert winner.trial.step.name == name


def test_the_verdict_names_the_best_or_what_is_missing() -> None:
    """The best has its metric and values. Without a best one there is a reason."""
    assert verdict(results(3.0, None, 1.5), TASK) == "The best trial is t2 with the lowest loss: 1.5 (c=0.5)"
    assert verdict(results(None), TASK) == "No completed trial has logged the primary metric 'loss'"
    assert verdict(results(1.0, failed=(0,)), TASK) == "The only trial failed"
    ends = results(3.0, None, 1.5, failed=(2,))
    assert [outcome(end, TASK) for end in ends] == [
        "loss = 3",
        "completed without the metric 'loss'",
        "failed",
    ]


def test_what_is_not_done_here_is_stated() -> None:
    """Early termination and Bayesian sampling do not happen silently."""
    assert notes(TASK) == ["The early termination policy bandit is ignored: every trial runs to its end."]
    (note,) = notes(replace(TASK, early_termination="", sampling_algorithm="bayesian"))
    assert note == "Bayesian sampling is replaced by random sampling."
