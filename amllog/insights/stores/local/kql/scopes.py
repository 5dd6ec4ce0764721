"""The names that an expression can use: the columns of its input, and the definitions of the query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from amllog.insights.stores.local.kql.reasons import unknown_column
from amllog.insights.stores.local.kql.syntax import FunctionCall, KqlQuery
from amllog.insights.stores.local.kql.typed_sql import TypedSql, quote


class Definitions(Protocol):
    """The definitions of a query and its time."""

    @property
    def now(self) -> TypedSql:
        """The time of the query, which is the same in all its parts."""

    @property
    def names(self) -> Collection[str]:
        """The names of all definitions."""

    def value(self, name: str) -> TypedSql | None:
        """Return the value of a definition, or None if it has none."""

    def call(self, name: str, arguments: Sequence[TypedSql]) -> TypedSql | None:
        """Return the result of a function of the query, or None if there is no such function."""

    def scalar(self, query: KqlQuery) -> TypedSql:
        """Return the first value of a query."""

    def column(self, query: KqlQuery) -> tuple[str, str, int]:
        """Return the SELECT of the first column of a query, its type, and the number of columns."""


@dataclass(frozen=True)
class NameScope:
    """The columns of an input, and the definitions.

    `aggregate` compiles a call of an aggregate function where one is allowed, and returns None for other functions.
    """

    columns: Mapping[str, str]
    definitions: Definitions
    aggregate: Callable[[FunctionCall], TypedSql | None] | None = None

    def name(self, name: str) -> TypedSql:
        """Return a column or a definition. Raises InvalidKql for an unknown name."""
        if name in self.columns:
            return TypedSql(quote(name), self.columns[name])
        value = self.definitions.value(name)
        if value is not None:
            return value
        raise unknown_column(name, [*self.columns, *self.definitions.names])
