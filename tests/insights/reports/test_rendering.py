"""Rows as lines of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.insights.insights import Insights
from amllog.insights.reports import rendering
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import envelope, failure, log, step  # isort: skip


def summaries(path: Path) -> list[str]:
    """Return the summary of every record of a journal."""
    return [rendering.summary(row) for row in Insights(PythonStore([path])).records()]


def test_each_kind(journal: Callable[..., Path]) -> None:
    """A row of each kind shows its call dimensions, except those that are columns of this kind."""
    point = {"metrics": [{"name": "loss", "value": 0.5}]}
    span = {"id": "s", "name": "load", "duration": "00:01:01", "success": False, "resultCode": "KeyError"}
    path = journal(
        log("at", step="3", value="x y", fileName="a.py"), envelope("MetricData", point, step="3"),
        envelope("EventData", {"name": "acc"}, value="NaN", run_metric_data="{}"),
        envelope("EventData", {"name": "saved"}, value="1"), failure("it failed"),
        envelope("RemoteDependencyData", span), step("train", seconds=5),
    )  # fmt: skip
    assert summaries(path) == [
        'at  step=3  value="x y"', "loss = 0.5  step=3", "acc = nan", "event: saved  value=1",
        "it failed: ValueError: no", "span load: failed (KeyError) after 1 min 01 s", "step train: done after 5.0 s",
    ]  # fmt: skip


def test_the_end_of_a_pipeline_is_that_of_a_run(journal: Callable[..., Path]) -> None:
    """The request of a pipeline has no step. A request of another program without a step is shown as before."""
    ends = [step("digits", seconds=5, step_id="", logger=logger) for logger in ("amllog", "")]
    assert summaries(journal(*ends)) == ["run digits: done after 5.0 s", "step digits: done after 5.0 s"]


def test_no_text_looks_like_another_line(journal: Callable[..., Path]) -> None:
    """Control characters are escaped, and further lines of a message are indented."""
    assert summaries(journal(log("a\x1b[2Jb\nforged", k="\r"))) == ['a\\x1b[2Jb  k="\\r"\n    forged']


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0.0123, "0.012 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (7_260, "2 h 01 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    """A duration has the unit that fits its size."""
    assert rendering.format_duration(seconds) == text
