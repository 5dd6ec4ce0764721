"""Our tables are those that Microsoft publishes: the same names in both dialects, the same types."""

from __future__ import annotations

import re

import pytest

from amllog.insights.query.columns import CATALOGUE, DEFAULT_SEVERITIES, SEARCHED
from amllog.insights.query.tables import TABLES

from ..published_schemas import CLASSIC, DOUBTFUL, RENAMED, WORKSPACE  # isort: skip


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_the_published_ones(name: str) -> None:
    """Every column of ours is there, of this type, and is called so in a workspace; none that we know is left out."""
    table = TABLES[name]
    assert {field.classic: field.type for field in table.fields} == CLASSIC[name]
    assert {field.classic: field.workspace for field in table.fields} == RENAMED[name]
    published, doubtful = WORKSPACE[table.workspace], DOUBTFUL.get(table.workspace, ())
    ours = {field.workspace: field.workspace_type or field.type for field in table.fields if field.workspace}
    assert {column: kind for column, kind in ours.items() if column not in doubtful} == {
        column: kind for column, kind in published.items() if column in ours
    }


def test_questions_use_no_doubtful_column() -> None:
    """What Microsoft's reference does not list any more stands in no expression of ours."""
    sources = [
        source for column in CATALOGUE.values() for source in (*column.sources.values(), column.otherwise)
    ]
    words = {
        word
        for source in (*sources, *(one for several in SEARCHED.values() for one in several))
        for word in re.findall(r"\w+", source.kql)
    }
    doubtful = {column[0].lower() + column[1:] for columns in DOUBTFUL.values() for column in columns}
    assert "outerMessage" in words and doubtful == {"performanceBucket"}
    assert not words & doubtful


def test_what_has_a_severity() -> None:
    """The tables that we narrow by level are those with such a column."""
    assert {name for name, columns in CLASSIC.items() if "severityLevel" in columns} == set(
        DEFAULT_SEVERITIES
    )


def test_all_ten_tables_are_written_down() -> None:
    """As many as Microsoft's page has; in both dialects, with a time each."""
    assert len(CLASSIC) == len(WORKSPACE) == 10
    assert {table["timestamp"] for table in CLASSIC.values()} == {"datetime"}
    assert {table["TimeGenerated"] for table in WORKSPACE.values()} == {"datetime"}
