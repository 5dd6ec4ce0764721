"""The text of a story."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import RUN, envelope, log, step  # isort: skip


def test_a_run_that_went_well(journal: Callable[..., Path]) -> None:
    """A good run has steps, metrics, and the command to compare it with the run before it."""
    earlier = {"parent_run_id": "r0", "experiment_name": "e", "time": "2026-11-21T10:00:00Z"}
    point = {"metrics": [{"name": "loss", "value": float(number)} for number in (1,)]}
    many = [envelope("MetricData", {"metrics": [{"name": f"m{n:02}", "value": n}]}) for n in range(14)]
    path = journal(
        step("train", experiment_name="e"),
        envelope("MetricData", point),
        *many,
        step("t", step_id="s0", **earlier),
    )
    story = Insights(PythonStore([path])).story()
    assert (story.state, story.failure, len(story.around)) == ("done", None, 0)
    assert "failure in step" not in story.text and " and 3 more" in story.text
    assert f"amllog compare r0 {RUN}   with the run before it (done)" in story.text


def test_many_steps_that_never_ended(journal: Callable[..., Path]) -> None:
    """Twenty steps that never ended are reported one by one, and the others are counted."""
    lines = [log("x", step_id=f"s{number:03}", step_name=f"n{number:03}") for number in range(100)]
    story = connect(journal(*lines).parent).story(RUN)
    sentences = [sentence for sentence in story.missing if sentence.startswith("step ")]
    assert len(sentences) == 20 and "80 more steps began and did not end" in story.missing
    assert "and 80 more" in sentences[0] and len(story.text) < 20_000
