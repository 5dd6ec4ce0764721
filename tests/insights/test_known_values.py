"""Names in filters that no record has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.insights.questions import Questions
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from .conftest import log  # isort: skip


@pytest.fixture(params=[DuckDBStore, PythonStore])
def questions(request: Any, journal: Callable[..., Path]) -> Questions:
    """Return the questions over two steps."""
    lines = (log("x", experiment_name="digits"), log("y", step_id="s2", step_name="evaluate", epoch="3"))
    return Questions(request.param([journal(*lines).parent]))


def test_an_unknown_name_has_a_note(questions: Questions) -> None:
    """The note has the filter, the value and the most similar values that exist."""
    table = questions.errors(step_name="trian")
    assert table.notes == ("step_name='trian': no record has this value; there are: train, evaluate",)
    assert table.reading.unknown == table.notes
    assert int(questions.count(step_name="trian")) == 0 and questions.count(step_name="trian").reading.unknown
    assert "experiment_name='x'" in questions.errors(experiment_name="x").notes[0]
    assert "run_type='x': no record has this value; no record has any" in questions.errors(run_type="x").notes
    assert questions.errors(where={"tem": "1"}).notes == ("where tem: no record has this dimension",)
    (note,) = questions.errors(step_name=["train", "evalaute"]).notes
    assert note.startswith("step_name='evalaute'")


def test_a_known_name_has_none(questions: Questions) -> None:
    """An answer without rows has no note if a record has the name, in any run and at any time."""
    for filters in (
        {"step_name": "train"},
        {"step_id": "s2"},
        {"where": {"epoch": "4"}},
        {"where": {"tem": ""}},
    ):
        table = questions.errors("last", last="7d", **filters)  # type: ignore[arg-type]  # a dict of filters
        assert (table.notes, table.reading.unknown) == ((), ())
    assert questions.logs(step_name="train").reading.unknown == ()
