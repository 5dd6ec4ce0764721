"""The tables that the SQL of a query may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect


def test_a_query_reads_no_table_of_the_engine(kql_journal: Path) -> None:
    """DuckDB's own tables, other databases and Python variables are unknown. The error lists the tables."""
    store = connect(str(kql_journal)).store
    for name in ("sqlite_master", "duckdb_views", "pg_class", "pragma_database_list", "records", "os"):
        with pytest.raises(UsageError, match=f"there is no table '{name}'"):
            store.query(name)
    for query in (
        "database('cached').records",
        "database('memory').traces",
        "let sqlite_master = sqlite_master; sqlite_master",
    ):
        with pytest.raises(UsageError, match="cannot answer this KQL"):
            store.query(query)
