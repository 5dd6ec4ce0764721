"""Run our own SQL in one DuckDB, and KQL of users in another one without access to files.

KQL of a user is compiled to SQL (`kql`), so a fault of the compiler could let it use SQL. Four barriers limit it:

* The sandbox is a separate DuckDB. It can read the selected files only, cannot load extensions, and its configuration
  is locked (`Sandbox`).
* The compiled statement must be a single SELECT that reads only the service's tables (`duckdb_sql_check`). This also
  excludes DuckDB's own tables and functions.
* Macros in front of DuckDB's functions limit the size of their results, which DuckDB's memory limit does not include
  (`duckdb_macros`).
* Time, rows and bytes are limited (`duckdb_limits`), and so is the memory of a command.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError
from amllog.insights.query import cell_types
from amllog.insights.query.sql import escape_glob
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.local import duckdb_errors, duckdb_limits, duckdb_macros, duckdb_sql_check
from amllog.insights.stores.local.duckdb_connection import Database
from amllog.insights.stores.local.duckdb_limits import Limits
from amllog.insights.stores.local.duckdb_tables import schema, view
from amllog.insights.stores.local.kql.compiler import Compiled, compile_kql
from amllog.insights.stores.local.kql.reasons import KqlError, UnsupportedKql

# The order is significant: the last statement makes the others final.
_LOCK = "SET allow_community_extensions = false; SET enable_external_access = false; SET lock_configuration = true"
_CANNOT_ANSWER = "the local engine cannot answer this KQL: "
_USE_SERVICE = (
    ". Query the service, which supports all of KQL "
    f"(connect(resource_id=…), or {RESOURCE_ID} for the command)"
)


class QueryResult(NamedTuple):
    """The rows of a statement and the names of their columns.

    For KQL also the types of the service (a timespan is a number of ticks), and the limit at which the rows end ("" if
    they are complete).
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
        compiled = _compiled(kql, dialects)
        types = tuple(compiled.columns.values())

        def execute() -> QueryResult:
            self._create_views(compiled.tables, records)
            connection, tree = self._database.connection, self._syntax_tree(compiled.sql)
            self._macros.prepare(duckdb_sql_check.check_sql(tree, self._views, _names(dialects)))
            for pattern in duckdb_sql_check.patterns(tree):  # also if there is no row
                connection.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
            cursor = connection.execute(compiled.sql)  # rows are computed when they are fetched
            rows, reached = duckdb_limits.fetch_rows(
                cursor, lambda row: tuple(map(_python_value, row, types)), limits
            )
            if reached:
                connection.execute("SELECT 1")  # ends the statement
            return QueryResult(tuple(compiled.columns), rows, types, reached)

        try:
            with duckdb_limits.PROCESS_MEMORY.limited():
                return self._database.run_limited(execute, limits)
        except RecursionError:
            raise UsageError(f"{_CANNOT_ANSWER}it is nested too deeply") from None
        except MemoryError:
            raise UsageError(f"{_CANNOT_ANSWER}there is too little memory") from None
        except (self._database.error, duckdb_errors.ValueOutOfRange) as error:
            raise UsageError(f"{_CANNOT_ANSWER}{duckdb_errors.explain(error)}") from error

    def _syntax_tree(self, sql: str) -> str:
        """Return the syntax tree of a statement as JSON. DuckDB returns one for SELECT statements only."""
        return str(self._database.connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])

    def _create_views(self, tables: Collection[str], records: str) -> None:
        """Create the views that the query reads, because each takes some time."""
        for name, (table, workspace) in _VIEWS.items():
            if name in tables:
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
        duckdb_limits.check_length(kql)
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


_VIEWS = {name: (table, name != table.classic) for table in TABLES.values() for name in table[:2]}


def _names(dialects: Sequence[bool]) -> list[str]:
    return [name for name, (_, workspace) in _VIEWS.items() if workspace in dialects]


def _compiled(kql: str, dialects: Sequence[bool]) -> Compiled:
    """Return the SQL of a query. Raises UsageError from a KqlError."""
    schemas = [schema(workspace=workspace) for workspace in (False, True) if workspace in dialects]
    try:
        compiled = compile_kql(kql, {name: types for tables in schemas for name, types in tables.items()})
    except KqlError as error:
        advice = _USE_SERVICE if isinstance(error, UnsupportedKql) else ""
        raise UsageError(f"{_CANNOT_ANSWER}{error}{advice}") from error
    return compiled


def _python_value(value: Any, type_: str) -> Any:
    """Return a value of DuckDB as that of its type in the service."""
    if value is None:
        return "" if type_ == "string" else None
    if type_ == "dynamic" and isinstance(value, str):
        parsed = cell_types.load_json(value)
        return value if parsed is None and value != "null" else parsed
    if type_ == "guid":
        return str(value)
    if type_ == "datetime" and isinstance(value, str):  # DuckDB's years have no limit
        raise duckdb_errors.ValueOutOfRange(value)
    return value
