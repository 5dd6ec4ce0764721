"""Run our own SQL in one DuckDB, and KQL of users in another one without access to files.

KQL of a user is translated to SQL, so it could use anything that SQL can express. Four barriers limit it:

* The sandbox is a separate DuckDB. It can read the selected files only, cannot load extensions, and its configuration
  is locked (`Sandbox`).
* The translated statement must be a single SELECT that reads only the service's tables (`duckdb_sql_check`). This also
  excludes DuckDB's own tables and functions.
* Macros in front of DuckDB's functions limit the size of their results, which DuckDB's memory limit does not include
  (`duckdb_macros`).
* Time, rows, bytes and the translation are limited (`duckdb_limits`), and so is the memory of a command.
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
from amllog.insights.stores.local.duckdb_tables import view

# The order is significant: the last statement makes the others final.
_LOCK = "SET allow_community_extensions = false; SET enable_external_access = false; SET lock_configuration = true"
_CANNOT_ANSWER = "the local engine cannot answer this KQL: "


class QueryResult(NamedTuple):
    """The rows of a statement and the names of their columns.

    For KQL also DuckDB's names of their types, and the limit at which the rows end ("" if they are complete).
    """

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    types: tuple[str, ...] = ()
    reached: str = ""


class Sandbox:
    """A DuckDB that runs KQL of users. It reads `files` and no others, and its configuration is locked.

    `cached`: a SELECT whose rows are read into a separate database before the lock.
    """

    def __init__(self, files: Sequence[Path] = (), cached: str = "") -> None:
        self._database = Database()
        self._views: dict[str, str] = {}
        self.files = tuple(files)
        self._macros = self._database.run_interruptible(lambda: self._prepare(cached))

    def _prepare(self, cached: str) -> duckdb_macros.SandboxMacros:
        """Read the rows to cache, create the macros and lock the database."""
        connection = self._database.connection
        if cached:
            connection.execute("ATTACH ':memory:' AS cached")
            connection.execute(f"CREATE TABLE cached.records AS {cached}")
        paths = [path for file in self.files for path in {str(file), escape_glob(file)}]
        macros = duckdb_macros.SandboxMacros(connection)
        connection.execute("SET allowed_paths = ?", [paths])
        connection.execute(_LOCK)
        return macros

    @property
    def is_stuck(self) -> bool:
        """Return whether a query is running that could not be interrupted."""
        return self._database.is_stuck

    def run(self, kql: str, records: str, dialects: Sequence[bool], limits: Limits) -> QueryResult:
        """Return the rows of a query. Raises UsageError if it cannot be run, or reads an unknown table."""
        import duckdb_kql

        connection, translation = self._database.connection, duckdb_limits.Translation(kql)

        def execute() -> QueryResult:
            self._create_views(kql, records, dialects)
            text = adapt_kql(kql)
            translate = partial(duckdb_kql.to_sql, text, schema=self._columns(), allow_write=False)
            translated = translation.run(translate)
            if translated.unbound:
                raise UsageError(f"query parameter without a value: {', '.join(translated.unbound)}")
            sql, parameters = str(translated), translated.parameters or None
            check_ranges(sql)
            calls = duckdb_sql_check.check_sql(self._syntax_tree(sql), self._views, _names(dialects))
            self._macros.prepare(calls)
            cursor = connection.execute(sql, parameters)  # rows are computed when they are fetched
            names, types = (tuple(str(column[index]) for column in cursor.description) for index in (0, 1))
            rows, reached = duckdb_limits.fetch_rows(
                cursor, lambda row: tuple(map(decode_dynamic, row, types)), limits
            )
            if reached:
                connection.execute("SELECT 1")  # ends the statement
            return QueryResult(names, rows, types, reached)

        try:
            with duckdb_limits.PROCESS_MEMORY.limited():
                return self._database.run_limited(execute, limits, translation.stop)
        except RecursionError:
            raise UsageError(f"{_CANNOT_ANSWER}it is nested too deeply") from None
        except MemoryError:
            raise UsageError(f"{_CANNOT_ANSWER}there is too little memory") from None
        except (duckdb_kql.KqlError, self._database.error) as error:
            raise UsageError(f"{_CANNOT_ANSWER}{error_message(str(error))}") from error

    def _columns(self) -> dict[str, list[str]]:
        """Return the columns of each view, which the translation of joins needs."""
        columns: dict[str, list[str]] = {}
        statement = (
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_catalog = 'memory' ORDER BY ordinal_position"
        )
        for table, column in self._database.connection.execute(statement).fetchall():
            columns.setdefault(table, []).append(column)
        return columns

    def _syntax_tree(self, sql: str) -> str:
        """Return the syntax tree of a statement as JSON. DuckDB returns one for SELECT statements only."""
        return str(self._database.connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])

    def _create_views(self, kql: str, records: str, dialects: Sequence[bool]) -> None:
        """Create the views that the query names, because each takes some time. `*` is every table of a resource."""
        names = {name: (table, name != table.classic) for table in TABLES.values() for name in table[:2]}
        has_wildcard = "*" in kql and not any(
            name in kql for name, (_, workspace) in names.items() if workspace
        )
        for name, (table, workspace) in names.items():
            if workspace in dialects and (name in kql or (has_wildcard and not workspace)):
                select = view(table, f"({records}) AS records", workspace=workspace)
                if self._views.get(name) != select:
                    self._database.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
                    self._views[name] = select
            elif self._views.pop(name, ""):
                self._database.connection.execute(f"DROP VIEW {name}")


class Engine:
    """A DuckDB in memory for our own SQL, which may read and write files, and a `Sandbox` for KQL of users."""

    def __init__(self) -> None:
        self._database = Database()
        self._sandbox: Sandbox | None = None
        self._cache_key: object = None

    def run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> QueryResult:
        """Return the rows of one of our own statements. Raises UsageError if DuckDB cannot read the files."""

        def execute() -> QueryResult:
            cursor = self._database.connection.execute(sql, parameters or None)
            return QueryResult(tuple(column[0] for column in cursor.description or ()), cursor.fetchall())

        try:
            return self._database.run_interruptible(execute)
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
        """Return the rows of a KQL query over the service's tables, which are views of the SELECT `records`.

        `dialects`: the table names of a resource (False), of a workspace (True), or both. `files`: those that `records`
        reads. The query can read no others. Raises UsageError if the query cannot be run.
        """
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
            sandbox, self._cache_key = Sandbox(files), None
        self._sandbox = sandbox
        try:
            return sandbox.run(kql, records, dialects, limits or Limits())
        finally:
            if sandbox.is_stuck:
                self._sandbox = self._cache_key = None

    def cache_records(self, records: str, key: object) -> str:
        """Read the rows of the SELECT `records` into memory, for all queries until `key` changes.

        Return the SELECT over them. They are in a separate database that KQL cannot name.
        """
        if self._sandbox is None or key != self._cache_key:
            self._sandbox, self._cache_key = Sandbox(cached=records), key
        return "SELECT * FROM cached.records"


def _names(dialects: Sequence[bool]) -> list[str]:
    return [
        table.workspace if workspace else table.classic
        for table in TABLES.values()
        for workspace in (False, True)
        if workspace in dialects
    ]
