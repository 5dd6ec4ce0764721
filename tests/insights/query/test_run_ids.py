"""The id of a run with the runs below it."""

from __future__ import annotations

from amllog.insights.query.query import Equals
from amllog.insights.query.run_ids import RUN_COLUMNS, RunId, root_of, run_condition


def test_a_run_selects_its_family() -> None:
    """The condition has the ids of the family, and one of a plain string has that id. "" selects everything."""
    assert run_condition(RunId("pipe", ("pipe", "HD_1"))) == (Equals(RUN_COLUMNS, ("pipe", "HD_1")),)
    assert run_condition(RunId("pipe")) == run_condition("pipe") == (Equals(RUN_COLUMNS, ("pipe",)),)
    assert run_condition("") == run_condition(RunId("")) == ()


def test_an_id_is_a_string() -> None:
    """An id compares, formats and sorts as its string."""
    run = RunId("pipe", ("pipe", "HD_1"), root="top")
    assert run == "pipe" and f"{run}" == "pipe" and {run: 1}["pipe"] == 1
    assert (root_of(run, "p"), root_of(RunId("x"), "p"), root_of("x", "p")) == ("top", "p", "p")
