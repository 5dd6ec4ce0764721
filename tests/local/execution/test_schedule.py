"""The order of steps."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies as st

from amllog.local.execution.schedule import Schedule, descendants_of, producers_of
from amllog.local.execution.step_events import StepState
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine, StepOutput

POSITION = SourceLine(Path("p.yml"), 1)
COMPLETED, FAILED, SKIPPED = StepState.COMPLETED, StepState.FAILED, StepState.SKIPPED


def pipeline(steps: dict[str, str], after: dict[str, str] | None = None) -> PlannedPipeline:
    """Return a plan in which each step reads the steps of a string, and comes after others."""
    return PlannedPipeline(
        "p",
        POSITION,
        tuple(
            PlannedStep(
                name,
                POSITION,
                inputs={source: StepOutput(source, "out") for source in sources.split()},
                after=tuple((after or {}).get(name, "").split()),
            )
            for name, sources in steps.items()
        ),
    )


def take_all(schedule: Schedule) -> list[str]:
    """Take all steps that are ready."""
    names = []
    while step := schedule.take_ready():
        names.append(step.name)
    return names


def test_steps_start_when_all_that_they_require_have_ended() -> None:
    """A step is ready after the last step that it requires, in the order of the plan."""
    schedule = Schedule(pipeline({"a": "", "b": "", "c": "a b", "d": "a"}))
    assert take_all(schedule) == ["a", "b"]
    assert schedule.end("b", COMPLETED) == []
    assert take_all(schedule) == []
    schedule.end("a", COMPLETED)
    assert take_all(schedule) == ["c", "d"]
    assert not schedule.is_done
    schedule.end("c", FAILED)
    schedule.end("d", COMPLETED)
    assert schedule.is_done


def test_a_failure_skips_everything_after_it() -> None:
    """Dependents by data and by order are skipped once, each with its nearest cause."""
    schedule = Schedule(pipeline({"a": "", "b": "a", "c": "a b", "d": "", "e": ""}, {"d": "b"}))
    assert take_all(schedule) == ["a", "e"]
    skipped = {step.name: step.reason for step in schedule.end("a", FAILED)}
    assert skipped == {
        "b": "requires a, which failed",
        "c": "requires a, which failed",
        "d": "requires b, which was skipped",
    }


def test_a_skipped_step_ends_the_order_without_data() -> None:
    """A step that only comes after a skipped step can run. One that reads its outputs cannot."""
    schedule = Schedule(pipeline({"a": "", "b": "a", "c": "", "d": ""}, {"c": "a", "d": "b"}))
    skipped = schedule.end("a", SKIPPED, is_requested=True)
    assert [(step.name, step.is_requested) for step in skipped] == [("b", True)]
    assert take_all(schedule) == ["c", "d"]


def test_canceled_steps_have_not_started() -> None:
    """After a cancellation, only the steps that run are left."""
    schedule = Schedule(pipeline({"a": "", "b": "a", "c": ""}))
    step = schedule.take_ready()
    assert step
    assert schedule.cancel_waiting() == ["b", "c"]
    assert schedule.take_ready() is None
    assert schedule.end("a", StepState.CANCELED) == []
    assert schedule.is_done


def test_relatives_of_steps() -> None:
    """The descendants of a step contain it. The producers of steps are those outside of them."""
    plan = pipeline({"a": "", "b": "a", "c": "b", "d": "a"})
    assert descendants_of(plan, ["b"]) == {"b", "c"}
    assert producers_of(plan, {"b", "c", "d"}) == {"a": {"out"}}


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 8)), st.sampled_from([COMPLETED, FAILED, SKIPPED])), max_size=9)
)
def test_every_step_ends_once(steps: list[tuple[set[int], StepState]]) -> None:
    """Whatever fails, each step starts after those that it requires or is skipped, and the schedule is done."""
    sources = {f"s{i}": " ".join(f"s{n}" for n in numbers if n < i) for i, (numbers, _) in enumerate(steps)}
    schedule = Schedule(pipeline(sources))
    ended: list[str] = []
    while step := schedule.take_ready():
        assert set(step.requires) <= set(ended)
        ended.append(step.name)
        ended += [skipped.name for skipped in schedule.end(step.name, steps[int(step.name[1:])][1])]
    assert sorted(ended) == sorted(sources)
    assert schedule.is_done
