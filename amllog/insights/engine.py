"""DuckDB as the local store uses it: one database in memory for our own SQL, and one without access for free KQL.

In: SQL and parameters, KQL. Out: rows as sequences, with the names of their columns.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from amllog.attempt import Attempt
from amllog.errors import MissingExtraError, UsageError
from amllog.insights import free_kql, guards, limits, scratch, statement_check
from amllog.insights.limits import Limits
from amllog.insights.relation import view
from amllog.insights.schema import TABLES
from amllog.insights.sql import pattern

MEMORY = "700MB"
# That an interrupt is given: a function at work on one large value does not hear it before its end.
END_SECONDS = 5.0
_LOOK_SECONDS = 0.2
# The cache goes by names, and the name of a descriptor stands for another file each time.
_SETTINGS = f"""
SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false; SET TimeZone = 'UTC';
SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;
SET python_enable_replacements = false; SET enable_external_file_cache = false;
"""
# The order matters: the last statement makes every earlier one final.
_LOCKED = "SET allow_community_extensions = false; SET enable_external_access = false; SET lock_configuration = true"


class Answer(NamedTuple):
    """Rows and the names of their columns. For KQL also DuckDB's names of their types, and the limit that cut it."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    types: tuple[str, ...] = ()
    reached: str = ""


class Database:
    """One DuckDB in memory with our settings."""

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("duckdb", "insights") from None
        self.error: type[Exception] = duckdb.Error
        self.connection = duckdb.connect(":memory:")
        self.connection.execute(_SETTINGS)
        # DuckDB creates it when it is needed. Each has its own: DuckDB before 2.0 fails if two write into one.
        self.connection.execute("SET temp_directory = ?", [f"{scratch.folder()}/{uuid.uuid4().hex}"])
        self.is_lost = False  # a statement goes on that nothing could end

    def interruptible(self, ask: Callable[[], Answer]) -> Answer:
        """Return its answer; raise KeyboardInterrupt as soon as Ctrl-C comes.

        The work runs in another thread. In the main thread, DuckDB checks for signals between its tasks only, and a
        join of millions with millions is one task of many minutes.
        """
        if threading.current_thread() is not threading.main_thread():
            return ask()
        attempt = Attempt(ask)
        try:
            answer: Answer = attempt.result(threading.TIMEOUT_MAX)
        except KeyboardInterrupt:
            self._end(attempt)
            raise
        return answer

    def limited(self, ask: Callable[[], Answer], most: Limits, stop: Callable[[], None]) -> Answer:
        """Like `interruptible`, and at most for its seconds, and as long as it is wanted. `stop` ends what is not
        DuckDB's work."""
        attempt, until = Attempt(ask), monotonic() + most.seconds
        try:
            while not attempt.over:
                if monotonic() > until or most.is_unwanted():
                    raise limits.TooSlow(most.seconds)
                attempt.wait(max(0.0, min(until - monotonic(), _LOOK_SECONDS)))
        except (KeyboardInterrupt, limits.TooSlow):
            stop()
            self._end(attempt)
            raise
        answer: Answer = attempt.result(0.0)
        return answer

    def _end(self, attempt: Attempt) -> None:
        """Interrupt a statement until it has ended. If it does not end, this database is not used any more."""
        until = monotonic() + END_SECONDS
        while not attempt.over and monotonic() < until:  # repeated: work that has not begun yet ignores it
            with contextlib.suppress(KeyboardInterrupt):  # pressed twice
                self.connection.interrupt()
                attempt.wait(0.05)
        self.is_lost = not attempt.over


class Sandbox:
    """A DuckDB that runs the user's KQL. It reads `files` and nothing else, and its configuration is locked.

    `held`: a SELECT that is read into memory before the lock, in a database of its own.
    """

    def __init__(self, files: Sequence[Path] = (), held: str = "") -> None:
        self._database = Database()
        self._shown: dict[str, str] = {}
        self.files = tuple(files)
        connection = self._database.connection
        if held:
            connection.execute("ATTACH ':memory:' AS held")
            connection.execute(f"CREATE TABLE held.records AS {held}")
        paths = [text for path in files for text in {str(path), pattern(path)}]
        self._guards = guards.Guards(connection)
        connection.execute("SET allowed_paths = ?", [paths])
        connection.execute(_LOCKED)

    @property
    def is_lost(self) -> bool:
        """Whether a query goes on in it that nothing could end."""
        return self._database.is_lost

    def run(self, kql: str, records: str, dialects: Sequence[bool], most: Limits) -> Answer:
        """Return the rows of the query. UsageError if it cannot be run, or names a table that is not of the service."""
        import duckdb_kql

        connection, translation = self._database.connection, limits.Translation(kql)

        def ask() -> Answer:
            text = free_kql.readable(kql)
            translate = partial(duckdb_kql.to_sql, text, schema=self._columns(), allow_write=False)
            translated = translation.run(translate)
            if translated.unbound:
                raise UsageError(f"query parameter without a value: {', '.join(translated.unbound)}")
            sql, bound = str(translated), translated.parameters or None
            free_kql.check_ranges(sql)
            self._guards.begin(statement_check.check(self._parsed(sql), self._shown, _names(dialects)))
            cursor = connection.execute(sql, bound)  # rows are made as they are fetched
            names, types = (tuple(str(one[at]) for one in cursor.description) for at in (0, 1))
            rows, reached = limits.fetched(cursor, lambda row: tuple(map(free_kql.plain, row, types)), most)
            if reached:
                connection.execute("SELECT 1")  # ends it
            return Answer(names, rows, types, reached)

        try:
            self._show(kql, records, dialects)
            with limits.PROCESS.limited():
                return self._database.limited(ask, most, translation.stop)
        except RecursionError:
            raise UsageError("the local engine cannot answer this KQL: it is nested too deeply") from None
        except MemoryError:
            raise UsageError("the local engine cannot answer this KQL: there is too little memory") from None
        except (duckdb_kql.KqlError, self._database.error) as error:
            raise UsageError(
                f"the local engine cannot answer this KQL: {free_kql.refusal(str(error))}"
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

    def run(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Answer:
        """Return the rows of a statement of ours. UsageError if DuckDB cannot read the files."""

        def ask() -> Answer:
            cursor = self._database.connection.execute(sql, parameters or None)
            return Answer(tuple(one[0] for one in cursor.description or ()), cursor.fetchall())

        try:
            return self._database.interruptible(ask)
        except (self._database.error, MemoryError, UnicodeEncodeError) as error:
            raise UsageError(f"the journals cannot be read: {str(error) or 'too little memory'}") from error

    def run_kql(
        self,
        kql: str,
        records: str,
        *,
        dialects: Sequence[bool] = (False, True),
        files: Sequence[Path] = (),
        most: Limits | None = None,
    ) -> Answer:
        """Return the rows of a KQL query over the service's tables, made from the SELECT `records`.

        `dialects`: which tables there are, by the names of a resource (False), of a workspace (True), or of both.
        `files`: what `records` reads. The query can reach no other file. `most`: how much it may take."""
        free_kql.check(kql)
        limits.check_length(kql)
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
            return sandbox.run(kql, records, dialects, most or Limits())
        finally:
            if sandbox.is_lost:
                self._sandbox = self._held = None

    def hold(self, records: str, key: object) -> str:
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
