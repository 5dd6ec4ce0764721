"""DuckDB as the local store uses it: one database in memory for our own SQL, and one without access for free KQL.

In: SQL and parameters, KQL. Out: rows as sequences, with the names of their columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from amllog.errors import UsageError
from amllog.insights.query.sql import escape_glob
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.local import duckdb_limits, duckdb_macros, duckdb_sql_check
from amllog.insights.stores.local.duckdb_connection import Database
from amllog.insights.stores.local.duckdb_kql import (
    adapt_kql,
    check_ranges,
    check_statement,
    decode_dynamic,
    error_message,
)
from amllog.insights.stores.local.duckdb_limits import Limits
from amllog.insights.stores.local.duckdb_views import view

# The order matters: the last statement makes every earlier one final.
_LOCKED = "SET allow_community_extensions = false; SET enable_external_access = false; SET lock_configuration = true"


class QueryResult(NamedTuple):
    """Rows and the names of their columns. For KQL also DuckDB's names of their types, and the limit that cut it."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    types: tuple[str, ...] = ()
    reached: str = ""


class Sandbox:
    """A DuckDB that runs the user's KQL. It reads `files` and nothing else, and its configuration is locked.

    `held`: a SELECT that is read into memory before the lock, in a database of its own.
    """

    def __init__(self, files: Sequence[Path] = (), held: str = "") -> None:
        self._database = Database()
        self._shown: dict[str, str] = {}
        self.files = tuple(files)
        self._guards = self._database.run_interruptible(lambda: self._prepared(held))

    def _prepared(self, held: str) -> duckdb_macros.SandboxMacros:
        """Read what is to be held, then lock the database."""
        connection = self._database.connection
        if held:
            connection.execute("ATTACH ':memory:' AS held")
            connection.execute(f"CREATE TABLE held.records AS {held}")
        paths = [text for path in self.files for text in {str(path), escape_glob(path)}]
        prepared = duckdb_macros.SandboxMacros(connection)
        connection.execute("SET allowed_paths = ?", [paths])
        connection.execute(_LOCKED)
        return prepared

    @property
    def is_stuck(self) -> bool:
        """Whether a query goes on in it that nothing could end."""
        return self._database.is_stuck

    def run(self, kql: str, records: str, dialects: Sequence[bool], limits: Limits) -> QueryResult:
        """Return the rows of the query. UsageError if it cannot be run, or names a table that is not of the service."""
        import duckdb_kql

        connection, translation = self._database.connection, duckdb_limits.Translation(kql)

        def ask() -> QueryResult:
            self._show(kql, records, dialects)
            text = adapt_kql(kql)
            translate = partial(duckdb_kql.to_sql, text, schema=self._columns(), allow_write=False)
            translated = translation.run(translate)
            if translated.unbound:
                raise UsageError(f"query parameter without a value: {', '.join(translated.unbound)}")
            sql, bound = str(translated), translated.parameters or None
            check_ranges(sql)
            self._guards.begin(duckdb_sql_check.check_sql(self._parsed(sql), self._shown, _names(dialects)))
            cursor = connection.execute(sql, bound)  # rows are made as they are fetched
            names, types = (tuple(str(one[at]) for one in cursor.description) for at in (0, 1))
            rows, reached = duckdb_limits.fetch_rows(
                cursor, lambda row: tuple(map(decode_dynamic, row, types)), limits
            )
            if reached:
                connection.execute("SELECT 1")  # ends it
            return QueryResult(names, rows, types, reached)

        try:
            with duckdb_limits.PROCESS_MEMORY.limited():
                return self._database.run_limited(ask, limits, translation.stop)
        except RecursionError:
            raise UsageError("the local engine cannot answer this KQL: it is nested too deeply") from None
        except MemoryError:
            raise UsageError("the local engine cannot answer this KQL: there is too little memory") from None
        except (duckdb_kql.KqlError, self._database.error) as error:
            raise UsageError(
                f"the local engine cannot answer this KQL: {error_message(str(error))}"
            ) from error

    def _columns(self) -> dict[str, list[str]]:
        """The columns of each view, which joins need."""
        found: dict[str, list[str]] = {}
        asked = (
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_catalog = 'memory' ORDER BY ordinal_position"
        )
        for table, column in self._database.connection.execute(asked).fetchall():
            found.setdefault(table, []).append(column)
        return found

    def _parsed(self, sql: str) -> str:
        """The statement's syntax tree as JSON. DuckDB gives one for SELECT statements only."""
        return str(self._database.connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])

    def _show(self, kql: str, records: str, dialects: Sequence[bool]) -> None:
        """Create the views that the query names, because each takes a while. `*` is every table of a resource."""
        names = {name: (table, name != table.classic) for table in TABLES.values() for name in table[:2]}
        every = "*" in kql and not any(name in kql for name, (_, workspace) in names.items() if workspace)
        for name, (table, workspace) in names.items():
            if workspace in dialects and (name in kql or (every and not workspace)):
                select = view(table, f"({records}) AS records", workspace=workspace)
                if self._shown.get(name) != select:
                    self._database.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
                    self._shown[name] = select
            elif self._shown.pop(name, ""):
                self._database.connection.execute(f"DROP VIEW {name}")


class Engine:
    """A DuckDB in memory for our own SQL, which may read and write files, and a `Sandbox` for the user's KQL."""

    def __init__(self) -> None:
        self._database = Database()
        self._sandbox: Sandbox | None = None
        self._held: object = None

    def run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> QueryResult:
        """Return the rows of a statement of ours. UsageError if DuckDB cannot read the files."""

        def ask() -> QueryResult:
            cursor = self._database.connection.execute(sql, parameters or None)
            return QueryResult(tuple(one[0] for one in cursor.description or ()), cursor.fetchall())

        try:
            return self._database.run_interruptible(ask)
        except (self._database.error, MemoryError, UnicodeEncodeError) as error:
            raise UsageError(f"the journals cannot be read: {str(error) or 'too little memory'}") from error

    def run_kql(
        self,
        kql: str,
        records: str,
        *,
        dialects: Sequence[bool] = (False, True),
        files: Sequence[Path] = (),
        limits: Limits | None = None,
    ) -> QueryResult:
        """Return the rows of a KQL query over the service's tables, made from the SELECT `records`.

        `dialects`: which tables there are, by the names of a resource (False), of a workspace (True), or of both.
        `files`: what `records` reads. The query can reach no other file. `limits`: how much it may take."""
        check_statement(kql)
        duckdb_limits.check_length(kql)
        try:
            import duckdb_kql  # noqa: F401  the sandbox needs it
        except ImportError:
            raise UsageError(
                "free KQL runs on local journals through duckdb-kql, which is not installed "
                "(or this Python is older than 3.11): pip install 'amllog[insights]'"
            ) from None
        sandbox = self._sandbox
        if sandbox is None or (files and sandbox.files != tuple(files)):
            sandbox, self._held = Sandbox(files), None
        self._sandbox = sandbox
        try:
            return sandbox.run(kql, records, dialects, limits or Limits())
        finally:
            if sandbox.is_stuck:
                self._sandbox = self._held = None

    def cache_records(self, records: str, key: object) -> str:
        """Read the rows of the SELECT `records` once for all queries until `key` changes; return the SELECT over them.

        They stand in a database of their own, which KQL cannot name."""
        if self._sandbox is None or key != self._held:
            self._sandbox, self._held = Sandbox(held=records), key
        return "SELECT * FROM held.records"


def _names(dialects: Sequence[bool]) -> list[str]:
    return [
        table.workspace if workspace else table.classic
        for table in TABLES.values()
        for workspace in (False, True)
        if workspace in dialects
    ]
