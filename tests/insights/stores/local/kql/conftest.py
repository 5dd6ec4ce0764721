"""Run KQL without records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("duckdb")

from amllog.insights.query.cell_types import KUSTO_COLUMNS
from amllog.insights.query.result import Column, Table
from amllog.insights.stores.local import duckdb_views
from amllog.insights.stores.local.duckdb_engine import Engine

Run = Callable[[str], list[list[Any]]]


@pytest.fixture(scope="session")
def table() -> Callable[[str], Table]:
    """Return the answer to a query over no records."""
    engine, records = Engine(), duckdb_views.records([])

    def run_query(kql: str) -> Table:
        result = engine.run_kql(kql, records)
        columns = [Column(name, KUSTO_COLUMNS[type_]) for name, type_ in zip(result.names, result.types)]
        return Table.of(columns, result.rows)

    return run_query


@pytest.fixture(scope="session")
def run(table: Callable[[str], Table]) -> Run:
    """Return the rows of a query as lists."""
    return lambda kql: [list(row.values()) for row in table(kql)]
