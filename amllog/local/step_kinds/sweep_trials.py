"""The trials of a sweep as steps, and the choice of the best one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from amllog.errors import UsageError
from amllog.local.plan.planned_steps import LiteralValue, PlannedStep, StepKind, SweepTask, literal_type
from amllog.local.step_kinds.search_space import Sample, SampleValue, problems, samples

_REFERENCE = re.compile(r"\$\{\{\s*search_space\.([\w-]+)\s*\}\}")


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep: the step that runs, and its values of the search space."""

    step: PlannedStep
    sample: Sample

    @property
    def values(self) -> str:
        """The values of the search space in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.sample.items())


@dataclass(frozen=True)
class TrialResult:
    """The end of one trial."""

    trial: Trial
    is_completed: bool
    metric: float | None  # the last value of the primary metric. None: the trial has not logged it


def sweep_task(step: PlannedStep) -> SweepTask:
    """Return the task of a sweep. Raises UsageError with all problems if it is invalid."""
    if step.sweep is None:
        raise UsageError(f"{step.position}: {step.name} has no sweep")
    messages = problems(step.sweep)
    if messages:
        raise UsageError("\n".join(f"{step.position}: {step.name}: {message}" for message in messages))
    return step.sweep


def trials(step: PlannedStep) -> list[Trial]:
    """Return the trials of a sweep as command steps with the names `sweep.trial_0`, `sweep.trial_1`, …"""
    task = sweep_task(step)
    return [_trial(step, task, number, sample) for number, sample in enumerate(samples(task))]


def _trial(step: PlannedStep, task: SweepTask, number: int, sample: Sample) -> Trial:
    """Return one trial. A value of the search space also replaces the input of its name, as components need it."""
    literals = {name: LiteralValue(value, literal_type(value)) for name, value in sample.items()}
    return Trial(
        replace(
            step,
            name=f"{step.name}.trial_{number}",
            display_name=f"{step.display_name or step.name} trial {number}",
            kind=StepKind.COMMAND,
            sweep=None,
            command=_substituted(step.command, sample),
            arguments=None
            if step.arguments is None
            else tuple(_substituted(word, sample) for word in step.arguments),
            environment_variables={
                name: _substituted(text, sample) for name, text in step.environment_variables.items()
            },
            inputs={**step.inputs, **literals},
            # The user's folder gets the outputs of the best trial only.
            outputs={name: replace(output, path=None) for name, output in step.outputs.items()},
            timeout_seconds=task.trial_timeout_seconds,
        ),
        sample,
    )


def _substituted(text: str, sample: Mapping[str, SampleValue]) -> str:
    """Return the text with the values of the search space. Unknown names remain, and the check reports them."""
    return _REFERENCE.sub(lambda match: str(sample.get(match.group(1), match.group())), text)


def notes(task: SweepTask) -> list[str]:
    """Return what this machine does differently from the service, each as one sentence."""
    texts = []
    if task.early_termination:
        texts.append(
            f"The early termination policy {task.early_termination} is ignored: every trial runs to its end."
        )
    if task.sampling_algorithm == "bayesian":
        texts.append("Bayesian sampling is replaced by random sampling.")
    return texts


def best(results: Sequence[TrialResult], goal: str) -> TrialResult | None:
    """Return the best of the completed trials with a metric that is a number. The first one wins a tie."""
    known = [
        result
        for result in results
        if result.is_completed and result.metric is not None and not math.isnan(result.metric)
    ]
    sign = 1 if goal == "minimize" else -1
    return min(known, key=lambda result: sign * (result.metric or 0.0), default=None)


def verdict(results: Sequence[TrialResult], task: SweepTask) -> str:
    """Return the sentence about the best trial, or the reason why there is none."""
    winner = best(results, task.goal)
    if winner is not None:
        extreme = "lowest" if task.goal == "minimize" else "highest"
        name, values = winner.trial.step.name, winner.trial.values
        return f"The best trial is {name} with the {extreme} {task.primary_metric}: {winner.metric:.12g} ({values})"
    if any(result.is_completed for result in results):
        return f"No completed trial has logged the primary metric {task.primary_metric!r}"
    return f"All {len(results)} trials failed" if len(results) > 1 else "The only trial failed"


def outcome(result: TrialResult, task: SweepTask) -> str:
    """Return the end of a trial in a few words."""
    if not result.is_completed:
        return "failed"
    if result.metric is None:
        return f"completed without the metric {task.primary_metric!r}"
    return f"{task.primary_metric} = {result.metric:.12g}"
