"""Samples of the search space of a sweep: random values and the grid of all choices.

The distributions are those of Azure ML's format. The same seed gives the same samples on every machine and Python.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Union

from amllog.local.definition.format_keys import SAMPLING_ALGORITHMS, SEARCH_SPACE_KEYS
from amllog.local.plan.planned_steps import SweepTask

SampleValue = Union[str, int, float, bool]
Sample = Mapping[str, SampleValue]

_ATTEMPTS = 100  # to find a sample that is not there yet


def problems(task: SweepTask) -> list[str]:
    """Return what is invalid in a sweep, each as one sentence."""
    messages = []
    if task.sampling_algorithm not in SAMPLING_ALGORITHMS:
        messages.append(
            f"sampling_algorithm is {task.sampling_algorithm!r}, which must be one of {', '.join(SAMPLING_ALGORITHMS)}"
        )
    if not task.search_space:
        messages.append("search_space is empty")
    if not task.primary_metric:
        messages.append("objective.primary_metric is missing")
    if task.goal not in ("minimize", "maximize"):
        messages.append(f"objective.goal is {task.goal!r}, which must be minimize or maximize")
    if task.max_total_trials < 1:
        messages.append(f"limits.max_total_trials is {task.max_total_trials}, which must be at least 1")
    if task.max_concurrent_trials is not None and task.max_concurrent_trials < 1:
        messages.append(
            f"limits.max_concurrent_trials is {task.max_concurrent_trials}, which must be at least 1"
        )
    for name, distribution in task.search_space.items():
        messages += [f"search_space.{name} {text}" for text in _problems_of(distribution)]
        if task.sampling_algorithm == "grid" and distribution.get("type") != "choice":
            messages.append(f"search_space.{name} must be a choice, because sampling_algorithm is grid")
    return messages


def _problems_of(distribution: Mapping[str, Any]) -> Iterator[str]:
    kind = distribution.get("type")
    if kind not in SEARCH_SPACE_KEYS:
        yield f"has the type {kind!r}, which must be one of {', '.join(SEARCH_SPACE_KEYS)}"
        return
    missing = [key for key in SEARCH_SPACE_KEYS[kind] if key not in distribution]
    if missing:
        yield f"needs {' and '.join(missing)} for the type {kind}"
        return
    if kind == "choice":
        values = distribution["values"]
        if not isinstance(values, (list, tuple)) or not values:
            yield f"has the values {values!r}, which must be a list of at least one value"
        return
    wrong = [key for key in SEARCH_SPACE_KEYS[kind] if not _is_number(distribution[key])]
    if wrong:
        yield f"has {wrong[0]} = {distribution[wrong[0]]!r}, which must be a number"
        return
    yield from _problems_of_numbers(kind, {key: distribution[key] for key in SEARCH_SPACE_KEYS[kind]})


def _is_number(value: object) -> bool:
    """Return whether a value is a number, and not so large that arithmetic with it fails."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 <= value <= 1e300


def _problems_of_numbers(kind: str, numbers: Mapping[str, float]) -> Iterator[str]:
    if "min_value" in numbers and numbers["min_value"] > numbers["max_value"]:
        yield f"has min_value = {numbers['min_value']}, which is larger than max_value"
    if numbers.get("q", 1) <= 0:
        yield f"has q = {numbers['q']}, which must be larger than 0"
    if numbers.get("sigma", 0) < 0:
        yield f"has sigma = {numbers['sigma']}, which must not be negative"
    if "upper" in numbers and (numbers["upper"] < 1 or numbers["upper"] != int(numbers["upper"])):
        yield f"has upper = {numbers['upper']}, which must be an integer of at least 1"
    exponent = {"loguniform": "max_value", "qloguniform": "max_value", "lognormal": "mu", "qlognormal": "mu"}
    if numbers.get(exponent.get(kind, ""), 0) > 700:
        yield f"has {exponent[kind]} = {numbers[exponent[kind]]}, whose exponential is too large for a number"


def _rounded(value: float, step: float) -> SampleValue:
    """Return the multiple of `step` that is nearest. It has no digits that come from the arithmetic only."""
    quotient = value / step
    if not math.isfinite(quotient):  # the step is far below the precision of the value
        return value
    multiple = round(quotient) * step
    return int(multiple) if float(step).is_integer() else float(f"{multiple:.12g}")


_SAMPLERS: dict[str, Callable[[random.Random, Mapping[str, Any]], SampleValue]] = {
    "choice": lambda source, d: d["values"][source.randrange(len(d["values"]))],
    "randint": lambda source, d: source.randrange(int(d["upper"])),
    "uniform": lambda source, d: source.uniform(d["min_value"], d["max_value"]),
    "quniform": lambda source, d: _rounded(source.uniform(d["min_value"], d["max_value"]), d["q"]),
    "loguniform": lambda source, d: math.exp(source.uniform(d["min_value"], d["max_value"])),
    "qloguniform": lambda source, d: _rounded(
        math.exp(source.uniform(d["min_value"], d["max_value"])), d["q"]
    ),
    "normal": lambda source, d: source.normalvariate(d["mu"], d["sigma"]),
    "qnormal": lambda source, d: _rounded(source.normalvariate(d["mu"], d["sigma"]), d["q"]),
    "lognormal": lambda source, d: math.exp(min(700.0, source.normalvariate(d["mu"], d["sigma"]))),
    "qlognormal": lambda source, d: _rounded(
        math.exp(min(700.0, source.normalvariate(d["mu"], d["sigma"]))), d["q"]
    ),
}


def samples(task: SweepTask) -> list[Sample]:
    """Return the values of each trial, at most `max_total_trials`. No sample is there twice.

    `bayesian` is sampled at random: the results of earlier trials have no influence. Without a seed it is 0, so that a
    run can be repeated. The task has no problems.
    """
    if task.sampling_algorithm == "grid":
        choices = [distribution["values"] for distribution in task.search_space.values()]
        combinations = itertools.islice(itertools.product(*choices), task.max_total_trials)
        return [dict(zip(task.search_space, values)) for values in combinations]
    source = random.Random(task.seed or 0)
    unique: dict[str, Sample] = {}
    while len(unique) < task.max_total_trials:
        for _ in range(_ATTEMPTS):
            sample = {
                name: _SAMPLERS[distribution["type"]](source, distribution)
                for name, distribution in task.search_space.items()
            }
            if repr(sample) not in unique:
                unique[repr(sample)] = sample
                break
        else:
            break  # all combinations are there, with all but certainty
    return list(unique.values())
