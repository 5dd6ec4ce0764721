"""DuckDB as the local store uses it: one connection in memory, bounded, and free KQL through duckdb-kql.

In: SQL and parameters, KQL. Out: rows as sequences, with the names of their columns.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from amllog.attempt import Attempt
from amllog.errors import MissingExtraError, UsageError
from amllog.insights import free_kql
from amllog.insights.relation import view
from amllog.insights.schema import TABLES

MEMORY = "700MB"
_SETTINGS = f"""
SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false; SET TimeZone = 'UTC';
SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;
"""


class Answer(NamedTuple):
    """Rows and the names of their columns; of KQL also DuckDB's names for their types."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    types: tuple[str, ...] = ()


class Engine:
    """A DuckDB in memory; it never writes but where it is told to."""

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("duckdb", "insights") from None
        self._duckdb = duckdb
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(_SETTINGS)
        self._held: object = None
        self._shown: dict[str, str] = {}
        # Made when it is needed. Each its own: DuckDB before 2.0 breaks off where two write into one.
        spilled = f"{tempfile.gettempdir()}/amllog-{os.getpid()}-{uuid.uuid4().hex}"
        self._connection.execute("SET temp_directory = ?", [spilled])

    def run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Answer:
        """The rows of a statement of ours. UsageError where the files do not let DuckDB answer it."""

        def ask() -> Answer:
            cursor = self._connection.execute(sql, parameters or None)
            return Answer(tuple(one[0] for one in cursor.description or ()), cursor.fetchall())

        try:
            return self._interruptible(ask)
        except self._duckdb.Error as error:
            raise UsageError(f"the journals cannot be read: {error}") from error

    def run_kql(self, kql: str, records: str, *, dialects: Sequence[bool] = (False, True)) -> Answer:
        """The rows of a KQL query over the service's tables, made from the SELECT `records`.

        `dialects`: which tables there are, by the names of a resource (False), of a workspace (True), or of both.
        """
        try:
            import duckdb_kql
        except ImportError:
            raise UsageError(
                "free KQL runs on local journals through duckdb-kql, which is not installed "
                "(or this Python is older than 3.11): pip install 'amllog[insights]'"
            ) from None
        self._show(kql, records, dialects)

        def ask() -> Answer:
            relation = duckdb_kql.kql(self._connection, free_kql.readable(kql))
            types = tuple(map(str, relation.types))
            rows = [tuple(map(free_kql.plain, row, types)) for row in relation.fetchall()]
            return Answer(tuple(relation.columns), rows, types)

        try:
            return self._interruptible(ask)
        except (duckdb_kql.KqlError, self._duckdb.Error) as error:
            raise UsageError(
                f"the local engine cannot answer this KQL: {free_kql.refusal(str(error))}"
            ) from error

    def hold(self, records: str, key: object) -> str:
        """The rows of the SELECT `records`, read once for all queries until `key` is another; gives the SELECT over
        them. In a database of its own, where KQL does not see it as a table."""
        if key != self._held:
            self._connection.execute("ATTACH IF NOT EXISTS ':memory:' AS held")
            self._connection.execute(f"CREATE OR REPLACE TABLE held.records AS {records}")
            self._held = key
        return "SELECT * FROM held.records"

    def _show(self, kql: str, records: str, dialects: Sequence[bool]) -> None:
        """The views that the query names: each takes a while to make. `*` is every table of a resource."""
        names = {name: (table, name != table.classic) for table in TABLES.values() for name in table[:2]}
        every = "*" in kql and not any(name in kql for name, (_, workspace) in names.items() if workspace)
        for name, (table, workspace) in names.items():
            if workspace in dialects and (name in kql or (every and not workspace)):
                select = view(table, f"({records}) AS records", workspace=workspace)
                if self._shown.get(name) != select:
                    self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
                    self._shown[name] = select
            elif self._shown.pop(name, ""):
                self._connection.execute(f"DROP VIEW {name}")

    def _interruptible(self, ask: Callable[[], Answer]) -> Answer:
        """What it answers; KeyboardInterrupt as soon as Ctrl-C comes. Beside the thread that gets signals: in that one
        DuckDB looks for them between its tasks only, and a join of millions with millions is one of many minutes."""
        if threading.current_thread() is not threading.main_thread():
            return ask()
        attempt = Attempt(ask)
        try:
            answer: Answer = attempt.result(threading.TIMEOUT_MAX)
        except KeyboardInterrupt:
            while not attempt.over:  # again and again: what has not begun yet does not hear it
                with contextlib.suppress(KeyboardInterrupt):  # pressed twice
                    self._connection.interrupt()
                    attempt.wait(0.05)
            raise
        return answer
