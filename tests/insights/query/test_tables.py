"""The tables have the names and types that Microsoft publishes."""

from __future__ import annotations

import pytest

from amllog.insights.query.tables import TABLES

from ..published_schemas import CLASSIC, DOUBTFUL, RENAMED, WORKSPACE  # isort: skip


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_the_published_ones(name: str) -> None:
    """Each column has the published name and type in both dialects, and no published column is missing."""
    table = TABLES[name]
    assert {field.classic: field.type for field in table.fields} == CLASSIC[name]
    assert {field.classic: field.workspace for field in table.fields} == RENAMED[name]
    published, doubtful = WORKSPACE[table.workspace], DOUBTFUL.get(table.workspace, ())
    columns = {
        field.workspace: field.workspace_type or field.type for field in table.fields if field.workspace
    }
    assert {column: kind for column, kind in columns.items() if column not in doubtful} == {
        column: kind for column, kind in published.items() if column in columns
    }


def test_all_ten_tables_are_published() -> None:
    """The copied schemas have the ten tables of Microsoft's page, each with a time."""
    assert len(CLASSIC) == len(WORKSPACE) == 10
    assert {table["timestamp"] for table in CLASSIC.values()} == {"datetime"}
    assert {table["TimeGenerated"] for table in WORKSPACE.values()} == {"datetime"}
