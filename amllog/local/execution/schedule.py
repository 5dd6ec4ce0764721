"""The order in which the steps of a plan start, and the steps that cannot start."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from amllog.errors import UsageError
from amllog.local.execution.step_events import StepState
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, StepOutput

SUCCESSFUL = (StepState.COMPLETED, StepState.REUSED)


class Skipped(NamedTuple):
    """A step that does not start, and why. `is_requested`: an option of the user is the cause."""

    name: str
    reason: str
    is_requested: bool


class Schedule:
    """The steps that are ready. All changes take time in proportion to the steps that they concern."""

    def __init__(self, plan: PlannedPipeline) -> None:
        self._steps = {step.name: step for step in plan.steps}
        self._numbers = {step.name: number for number, step in enumerate(plan.steps)}
        self._missing = {step.name: len(step.requires) for step in plan.steps}
        self._dependents: dict[str, list[str]] = {step.name: [] for step in plan.steps}
        for step in plan.steps:
            for name in step.requires:
                self._dependents[name].append(step.name)
        self._ready = [number for number, step in enumerate(plan.steps) if not step.requires]
        self._order = plan.steps
        self._ended: dict[str, StepState] = {}
        self._started: set[str] = set()

    @property
    def is_done(self) -> bool:
        """Return whether every step has ended."""
        return len(self._ended) == len(self._steps)

    def take_ready(self) -> PlannedStep | None:
        """Return a step whose requirements have ended, the first of the plan. None if there is none now."""
        while self._ready:
            step = self._order[heapq.heappop(self._ready)]
            if step.name not in self._ended and step.name not in self._started:
                self._started.add(step.name)
                return step
        return None

    def end(self, name: str, state: StepState, *, is_requested: bool = False) -> list[Skipped]:
        """Note the end of a step. Return the steps that cannot start because of it, which have ended, too."""
        skipped: list[Skipped] = []
        is_order_kept = state is StepState.SKIPPED  # without a failure, a step that only comes later can run
        ends = [(name, state)]
        while ends:
            name, state = ends.pop()
            if name in self._ended:
                continue
            self._ended[name] = state
            for dependent in self._dependents[name]:
                if dependent in self._ended:
                    continue
                if state not in SUCCESSFUL and (self._reads(dependent, name) or not is_order_kept):
                    word = "was skipped" if state is StepState.SKIPPED else state.value
                    skipped.append(Skipped(dependent, f"requires {name}, which {word}", is_requested))
                    ends.append((dependent, StepState.SKIPPED))
                else:
                    self._missing[dependent] -= 1
                    if not self._missing[dependent]:
                        heapq.heappush(self._ready, self._numbers[dependent])
        return skipped

    def _reads(self, dependent: str, name: str) -> bool:
        """Return whether a step reads an output of another one."""
        values = self._steps[dependent].inputs.values()
        return any(isinstance(value, StepOutput) and value.step == name for value in values)

    def cancel_waiting(self) -> list[str]:
        """End all steps that have not started. Return their names in the order of the plan."""
        names = [name for name in self._steps if name not in self._ended and name not in self._started]
        self._ended.update((name, StepState.CANCELED) for name in names)
        return names


def names_of(plan: PlannedPipeline, option: str, names: Iterable[str]) -> list[str]:
    """Return the steps that an option names: by their name, or all of a nested pipeline. Raises UsageError."""
    result: list[str] = []
    for name in names:
        steps = [step.name for step in plan.steps if step.is_named([name])]
        if not steps:
            known = ", ".join(step.name for step in plan.steps)
            raise UsageError(f"{option} {name}: the pipeline has no such step. Its steps are {known}")
        result += steps
    return result


def descendants_of(plan: PlannedPipeline, names: Iterable[str]) -> set[str]:
    """Return the names of steps and of all steps that require them. The plan is in order."""
    result = set(names)
    for step in plan.steps:
        if result.intersection(step.requires):
            result.add(step.name)
    return result


def producers_of(plan: PlannedPipeline, names: Iterable[str]) -> Mapping[str, set[str]]:
    """Return the steps outside `names` whose outputs these steps read, with the names of the outputs."""
    chosen = set(names)
    result: dict[str, set[str]] = {}
    for step in plan.steps:
        values = [value for value in step.inputs.values() if isinstance(value, StepOutput)]
        for value in values if step.name in chosen else []:
            if value.step not in chosen:
                result.setdefault(value.step, set()).add(value.output)
    return result
