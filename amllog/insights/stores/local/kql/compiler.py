"""Compile a query of KQL to one SELECT and the types of its columns. No I/O, and no DuckDB.

The query may use the functions, operators and types that are known here, and nothing else.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar, Union

from amllog.insights.stores.local.kql import syntax
from amllog.insights.stores.local.kql.expansions import apply_expand
from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.joins import apply_join
from amllog.insights.stores.local.kql.parameters import bind
from amllog.insights.stores.local.kql.reasons import (
    CALLS_MAX,
    TOTAL_MAX,
    InvalidKql,
    UnsupportedKql,
    check_size,
    nearest,
    too_complex,
    too_deep,
    unknown_table,
)
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.row_operators import apply_step
from amllog.insights.stores.local.kql.scopes import NameScope
from amllog.insights.stores.local.kql.sources import data_rows, print_row, range_rows
from amllog.insights.stores.local.kql.statement_parser import StatementParser
from amllog.insights.stores.local.kql.summaries import apply_summarize
from amllog.insights.stores.local.kql.text_parsing import apply_parse
from amllog.insights.stores.local.kql.typed_sql import TypedSql, constant, quote
from amllog.insights.stores.local.kql.unions import apply_union

Definition = Union[TypedSql, Relation, syntax.Function]
_COMMAND = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*\.")
_T = TypeVar("_T", TypedSql, Relation)
_FUNCTIONS_MAX = 30  # calls inside of each other


class Compiled(NamedTuple):
    """A compiled query: its SQL, the names and types of its columns, and the tables that it reads."""

    sql: str
    columns: dict[str, str]
    tables: frozenset[str]


def compile_kql(text: str, tables: Mapping[str, Mapping[str, str]], now: datetime | None = None) -> Compiled:
    """Return the SELECT of a query. Raises KqlError if the query is invalid or not supported.

    `tables`: the columns and types of each table.
    """
    if _COMMAND.match(text):
        start = text.strip()[:40]
        raise InvalidKql(
            f"{start!r}: control commands are not supported. A query begins with a table, such as traces"
        )
    try:
        return _Query(tables, now or datetime.now(timezone.utc)).compile(text)
    except RecursionError:
        raise too_deep() from None


class _Query:
    """The compilation of one query: its tables, its definitions and its time."""

    def __init__(self, tables: Mapping[str, Mapping[str, str]], now: datetime) -> None:
        self._tables, self._read = tables, set[str]()
        utc = now.astimezone(timezone.utc).replace(tzinfo=None)
        self._now = constant("datetime", utc.isoformat(" ", "microseconds"))
        self._definitions: dict[str, Definition] = {}
        self._depth = self._calls = self._inserted = 0

    def compile(self, text: str) -> Compiled:
        lets, body = StatementParser(text, self._tables).query()
        for let in lets:
            self._define(let)
        relation = self._pipeline(body)
        names = ", ".join(quote(name) for name in relation.columns)
        sql = f"SELECT {names} FROM {relation.table}{relation.order}"
        check_size(sql)
        return Compiled(sql, dict(relation.columns), frozenset(self._read))

    @property
    def now(self) -> TypedSql:
        return self._now

    @property
    def names(self) -> Collection[str]:
        return self._definitions.keys()

    def value(self, name: str) -> TypedSql | None:
        value = self._definitions.get(name)
        return self._insert(value) if isinstance(value, TypedSql) else None

    def _insert(self, value: _T) -> _T:
        """Return a definition. Raises TooComplexKql if all inserted ones are too long together."""
        self._inserted += len(value.sql)
        if self._inserted > TOTAL_MAX:
            raise too_complex()
        return value

    def scalar(self, query: syntax.KqlQuery) -> TypedSql:
        relation = self._pipeline(query)
        name, type_ = next(iter(relation.columns.items()))
        sql = f"(SELECT {quote(name)} FROM {relation.table}{relation.order} LIMIT 1)"
        return TypedSql(f"coalesce({sql}, '')" if type_ == "string" else sql, type_)

    def column(self, query: syntax.KqlQuery) -> tuple[str, str, int]:
        relation = self._pipeline(query)
        name, type_ = next(iter(relation.columns.items()))
        return f"SELECT {quote(name)} AS _kql_in FROM {relation.table}", type_, len(relation.columns)

    def call(self, name: str, arguments: Sequence[TypedSql]) -> TypedSql | None:
        function = self._definitions[name]
        if not isinstance(function, syntax.Function):
            return None
        body = function.body
        if isinstance(body, syntax.KqlQuery):
            raise UnsupportedKql(f"{name}(), which returns a table, in place of a value")
        with self._inside(name, function, arguments):
            return compile_expression(body, NameScope({}, self))

    def _define(self, let: syntax.Let) -> None:
        self._definitions = {**self._definitions, let.name: self._definition(let)}

    def _definition(self, let: syntax.Let) -> Definition:
        if isinstance(let.value, syntax.Function):
            self._check(let.name, let.value)
            return let.value
        if isinstance(let.value, syntax.KqlQuery):
            return self._pipeline(let.value)
        return compile_expression(let.value, NameScope({}, self))

    def _check(self, name: str, function: syntax.Function) -> None:
        """Compile the body of a function with nulls, because the service checks functions that nobody calls."""
        arguments = [TypedSql(constant(type_, None).sql, type_) for _, type_, _ in function.parameters]
        with self._inside(name, function, arguments):
            if isinstance(function.body, syntax.KqlQuery):
                self._pipeline(function.body)
            else:
                compile_expression(function.body, NameScope({}, self))

    @contextmanager
    def _inside(self, name: str, function: syntax.Function, arguments: Sequence[TypedSql]) -> Iterator[None]:
        """Bind the parameters of a function in the block."""
        saved = self._definitions
        bound: dict[str, Definition] = dict(bind(name, function, arguments, NameScope({}, self)))
        self._depth += 1
        self._calls += 1
        if self._depth > _FUNCTIONS_MAX:
            raise too_deep()
        if self._calls > CALLS_MAX:
            raise too_complex()
        try:
            self._definitions = {**saved, **bound}
            for let in function.lets:
                self._define(let)
            yield
        finally:
            self._definitions = saved
            self._depth -= 1

    def _pipeline(self, query: syntax.KqlQuery) -> Relation:
        source = query.source
        relation = self._pipeline(source) if isinstance(source, syntax.KqlQuery) else self._source(source)
        for operator in query.operators:
            relation = self._apply(operator, relation)
        return relation

    def _apply(self, operator: syntax.Operator, relation: Relation) -> Relation:
        if isinstance(operator, syntax.RowOperator):
            return apply_step(operator, relation, self)
        if isinstance(operator, syntax.Summarize):
            return apply_summarize(operator, relation, self)
        if isinstance(operator, syntax.Join):
            return apply_join(operator, relation, self._pipeline(operator.right))
        if isinstance(operator, syntax.Expand):
            return apply_expand(operator, relation, self)
        if isinstance(operator, syntax.Parse):
            return apply_parse(operator, relation, self)
        return self._union(operator, [("union_arg0", relation)])

    def _source(self, source: syntax.Source) -> Relation:
        if isinstance(source, syntax.TableName):
            return self._table(source.name)
        if isinstance(source, syntax.TableUnion):
            return self._union(source, [])
        if isinstance(source, syntax.Invocation):
            return self._invocation(source.call)
        if isinstance(source, syntax.Print):
            return print_row(source, self)
        if isinstance(source, syntax.DataTable):
            return data_rows(source, self)
        if isinstance(source, syntax.Range):
            return range_rows(source, self)
        raise InvalidKql("a name with * outside of union")

    def _table(self, name: str) -> Relation:
        defined = self._definitions.get(name)
        if isinstance(defined, Relation):
            return self._insert(defined)
        if defined is not None or name not in self._tables:
            known = [
                *self._tables,
                *(key for key, value in self._definitions.items() if isinstance(value, Relation)),
            ]
            advice = nearest(name, known) or f". The tables are {', '.join(self._tables)}"
            raise unknown_table(name, advice)
        self._read.add(name)
        if len({read.startswith("App") for read in self._read}) > 1:
            names = " and ".join(sorted(self._read))
            raise InvalidKql(
                f"it reads {names}: tables of a workspace (App…) and of a resource are the same records"
            )
        return Relation(f"SELECT * FROM {quote(name)}", self._tables[name])

    def _invocation(self, call: syntax.FunctionCall) -> Relation:
        function = self._definitions.get(call.name)
        if not isinstance(function, syntax.Function) or not isinstance(function.body, syntax.KqlQuery):
            raise unknown_table(call.name)
        arguments = [compile_expression(argument, NameScope({}, self)) for argument in call.arguments]
        with self._inside(call.name, function, arguments):
            return self._pipeline(function.body)

    def _union(self, union: syntax.TableUnion, parts: list[tuple[str, Relation]]) -> Relation:
        for part in union.parts:
            label = f"union_arg{len(parts)}"
            if isinstance(part, syntax.Wildcard):
                parts += [(name, self._table(name)) for name in self._matching(part.pattern, union)]
            elif isinstance(part, syntax.TableName):
                known = part.name in self._definitions or part.name in self._tables
                if known or not union.is_fuzzy:
                    label = label if part.name in self._definitions else part.name
                    parts.append((label, self._table(part.name)))
            elif isinstance(part, syntax.KqlQuery):
                parts.append((label, self._pipeline(part)))
            else:
                parts.append((label, self._source(part)))
        return apply_union(parts, union.kind, union.source_column)

    def _matching(self, pattern: str, union: syntax.TableUnion) -> list[str]:
        """Return the tables of a pattern. With both dialects, those of a resource, unless only the others match."""
        names = sorted(name for name in self._tables if fnmatch.fnmatchcase(name, pattern))
        classic = [name for name in names if not name.startswith("App")]
        if not names and not union.is_fuzzy:
            raise InvalidKql(f"no table matches {pattern!r}. The tables are {', '.join(self._tables)}")
        return classic or names
