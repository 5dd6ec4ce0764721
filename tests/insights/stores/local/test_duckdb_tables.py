"""The views of the service's tables."""

from __future__ import annotations

import pytest

from amllog.insights.query.tables import TABLES
from amllog.insights.stores.local.duckdb_tables import view


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: str(table.classic))
def test_a_view_has_the_columns_of_its_dialect(table: object) -> None:
    """Each dialect has its own names, and a workspace also has the resource id."""
    classic, workspace = (view(table, "records", workspace=dialect) for dialect in (False, True))  # type: ignore[arg-type]
    assert "customDimensions" in classic and "_ResourceId" not in classic
    assert "Properties" in workspace and "'' AS _ResourceId" in workspace
    assert classic.rpartition(" WHERE ")[2] == workspace.rpartition(" WHERE ")[2]
