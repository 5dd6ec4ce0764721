"""`Insights`: the questions and the reports over one store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amllog.insights import Insights, Questions
from amllog.insights.stores.local.python_store import PythonStore
from amllog.insights.stores.store import Unasked

from .conftest import log, step  # isort: skip


def test_reports_accept_short_names(journal: Callable[..., Path]) -> None:
    """Every report resolves `last`, `last~1` and the beginning of an id."""
    earlier = {"parent_run_id": "r1-abc", "step_id": "a", "time": "2026-11-21T10:00:00Z"}
    later = {"parent_run_id": "r2-def", "step_id": "b"}
    lines = [step("train", **earlier), log("old", **earlier), step("train", **later), log("new", **later)]
    insights = Insights(PythonStore([journal(*lines)]))
    assert (insights.story().run, insights.story("r1").run) == ("r2-def", "r1-abc")
    comparison = insights.compare("last~1", "last")
    assert (comparison.first, comparison.second) == ("r1-abc", "r2-def")
    assert [node.row["message"] for _, node in insights.tree("r1").walk() if node.row] == ["train", "old"]
    assert [row["message"] for row in insights.watch(seconds=0, quiet_seconds=0)] == ["new"]


def test_insights_over_another_store(journal: Callable[..., Path]) -> None:
    """`over` keeps the class, so that the reports work over another store."""
    insights = Insights(PythonStore([journal(log("x"))]))
    assert isinstance(insights, Questions)
    assert type(insights.over(Unasked())) is Insights
    assert len(insights.over(Unasked()).logs()) == 0
