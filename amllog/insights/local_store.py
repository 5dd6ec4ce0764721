"""The local store: journal directories as DuckDB reads them.

In: directories with journals, also some that are being written. Out: answers; lines that could not be read are
counted in the table's notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from amllog.insights import relation, sql
from amllog.insights.engine import Engine
from amllog.insights.query import Query
from amllog.insights.stores import answered
from amllog.insights.table import Column, Table


class LocalStore:
    """Reads files, and `*.jsonl` in and below directories; those that appear later too."""

    def __init__(self, places: Sequence[Path]) -> None:
        self.places = tuple(places)
        self._engine = Engine()

    def answer(self, query: Query) -> Table:
        """The query's rows."""
        asked = sql.statement(query, datetime.now(timezone.utc))
        records = self._records()
        found = self._engine.run(f"WITH records AS ({records})\n{asked.text}", asked.parameters)
        return answered(query, found.rows, sql=asked.text)

    def query(self, kql: str) -> Table:
        """The rows of free KQL; UsageError if the local engine cannot run it."""
        found = self._engine.run_kql(kql, self._records())
        return Table.of([Column(name) for name in found.names], found.rows, kql=kql)

    def _records(self) -> str:
        found = (one.rglob("*.jsonl") if one.is_dir() else [one] for one in self.places)
        files = sorted({path.resolve() for paths in found for path in paths})
        return relation.records(files) if files else relation.nothing()
