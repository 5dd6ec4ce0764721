"""Samples of search spaces, and the problems of invalid ones."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from amllog.local.plan.planned_steps import SweepTask
from amllog.local.step_kinds.search_space import problems, samples

SPACES: dict[str, dict[str, Any]] = {
    "choice": {"values": ["a", 2, True]},
    "randint": {"upper": 3},
    "uniform": {"min_value": 0.5, "max_value": 0.9},
    "quniform": {"min_value": 0, "max_value": 1, "q": 0.1},
    "loguniform": {"min_value": -6, "max_value": -1},
    "qloguniform": {"min_value": 0, "max_value": 3, "q": 2},
    "normal": {"mu": 1, "sigma": 0.5},
    "qnormal": {"mu": 10, "sigma": 3, "q": 1},
    "lognormal": {"mu": 0, "sigma": 1},
    "qlognormal": {"mu": 2, "sigma": 1, "q": 0.5},
}
ALL = {name: {"type": name, **keys} for name, keys in SPACES.items()}


def sweep(space: Mapping[str, Mapping[str, Any]], **keys: Any) -> SweepTask:
    """Return a sweep that minimizes `loss`."""
    return SweepTask(space, **{"primary_metric": "loss", "max_total_trials": 50, **keys})


def test_random_values_follow_their_distributions() -> None:
    """Each type gives values of its range, and multiples of q."""
    rows = samples(sweep(ALL, max_total_trials=300))
    assert {row["choice"] for row in rows} == {"a", 2, True}
    assert {row["randint"] for row in rows} == {0, 1, 2}
    assert all(0.5 <= row["uniform"] <= 0.9 for row in rows)
    assert {row["quniform"] for row in rows} == {n / 10 for n in range(11)}
    assert all(math.exp(-6) <= row["loguniform"] <= math.exp(-1) for row in rows)
    assert {row["qloguniform"] for row in rows} <= set(range(0, 22, 2))
    assert 0.9 < sum(row["normal"] for row in rows) / 300 < 1.1
    assert all(isinstance(row["qnormal"], int) for row in rows)
    assert all(row["lognormal"] > 0 for row in rows)
    assert all(float(row["qlognormal"]) * 2 % 1 == 0 for row in rows)


def test_the_seed_decides_the_samples() -> None:
    """The same seed gives the same trials, another one gives others, and no seed is repeatable too."""
    first, second = samples(sweep(ALL, seed=1)), samples(sweep(ALL, seed=1))
    assert first == second != samples(sweep(ALL, seed=2))
    assert samples(sweep(ALL)) == samples(sweep(ALL))


def test_a_small_space_has_no_sample_twice() -> None:
    """There are fewer trials than allowed if the space has fewer combinations."""
    rows = samples(sweep({"x": ALL["choice"], "y": ALL["randint"]}))
    assert len(rows) == len({repr(row) for row in rows}) == 9


def test_the_grid_has_all_combinations_up_to_the_limit() -> None:
    """The last choice varies fastest."""
    space = {"x": {"type": "choice", "values": [1, 2]}, "y": {"type": "choice", "values": ["a", "b"]}}
    grid = sweep(space, sampling_algorithm="grid")
    assert samples(grid) == [{"x": x, "y": y} for x in (1, 2) for y in ("a", "b")]
    assert samples(sweep(space, sampling_algorithm="grid", max_total_trials=3)) == samples(grid)[:3]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"type": "gauss"}, "has the type 'gauss', which must be one of choice, randint, uniform"),
        ({"type": "uniform", "min_value": 1}, "needs max_value for the type uniform"),
        (
            {"type": "uniform", "min_value": 2, "max_value": 1},
            "min_value = 2, which is larger than max_value",
        ),
        (
            {"type": "uniform", "min_value": "a", "max_value": 1},
            "has min_value = 'a', which must be a number",
        ),
        (
            {"type": "quniform", "min_value": 0, "max_value": 1, "q": 0},
            "has q = 0, which must be larger than 0",
        ),
        ({"type": "choice", "values": []}, "must be a list of at least one value"),
        ({"type": "randint", "upper": 0.5}, "has upper = 0.5, which must be an integer of at least 1"),
        ({"type": "normal", "mu": 0, "sigma": -1}, "has sigma = -1, which must not be negative"),
        ({"type": "loguniform", "min_value": 0, "max_value": 1000}, "exponential is too large"),
    ],
)
def test_an_invalid_distribution_is_a_problem(space: dict[str, Any], message: str) -> None:
    """The problem names the parameter, the value and what is allowed."""
    (problem,) = problems(sweep({"x": space}))
    assert problem.startswith("search_space.x ")
    assert message in problem


def test_all_problems_of_a_task_are_reported() -> None:
    """Each invalid key is a problem of its own."""
    task = SweepTask(
        {}, sampling_algorithm="best", goal="lowest", max_total_trials=0, max_concurrent_trials=0
    )
    assert len(problems(task)) == 6
    assert problems(sweep({"x": ALL["uniform"]}, sampling_algorithm="grid")) == [
        "search_space.x must be a choice, because sampling_algorithm is grid"
    ]
    assert problems(sweep(ALL)) == []


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers())
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=3),
        st.one_of(
            st.fixed_dictionaries({"type": st.just(name), **dict.fromkeys(keys, VALUES)})
            for name, keys in SPACES.items()
        ),
        max_size=3,
    )
)
def test_any_space_has_problems_or_samples(space: dict[str, dict[str, Any]]) -> None:
    """No value of a file raises an error of Python."""
    task = sweep(space, max_total_trials=3)
    assert problems(task) or samples(task)
