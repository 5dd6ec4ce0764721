"""The columns and summaries that the questions select."""

from __future__ import annotations

import pytest

from amllog.insights.query import selections
from amllog.insights.query.columns import CATALOGUE

COLUMNS = ("LOG", "ERRORS", "METRICS", "SPANS", "EVENTS", "TIMELINE", "RECORDS", "SUMMARIZED", "LATEST")


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_in_the_catalogue(name: str) -> None:
    """Each selected column is in the catalogue, and none is selected twice."""
    columns = getattr(selections, name)
    assert set(columns) <= CATALOGUE.keys()
    assert len(set(columns)) == len(columns)


def test_summaries_read_selected_columns() -> None:
    """The summary of steps reads selected columns, and that of runs reads the columns of steps."""
    arguments = {total.argument for total in selections.STEP_SUMMARY.totals} - {""}
    assert arguments <= set(selections.SUMMARIZED)
    steps = {total.name for total in selections.STEP_SUMMARY.totals}
    assert {total.argument.partition(" ")[0] for total in selections.RUN_SUMMARY.totals} - {""} <= steps
