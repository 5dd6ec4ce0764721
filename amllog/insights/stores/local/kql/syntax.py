"""The nodes of a query: expressions, operators and definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union


@dataclass(frozen=True)
class Literal:
    """A constant. Its value is None for null."""

    type: str
    value: Any


@dataclass(frozen=True)
class Name:
    """The name of a column or a definition."""

    name: str


@dataclass(frozen=True)
class FunctionCall:
    """A call of a function."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Negative:
    """A minus before an expression."""

    argument: Expression


@dataclass(frozen=True)
class Binary:
    """An operator between two expressions."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Membership:
    """A test such as `in` or `has_any`, against expressions or a query."""

    operator: str
    value: Expression
    items: tuple[Expression, ...] | KqlQuery


@dataclass(frozen=True)
class Between:
    """A test of a range, both ends included."""

    value: Expression
    low: Expression
    high: Expression
    is_negated: bool


@dataclass(frozen=True)
class Member:
    """A member of a dynamic value: the key is a string, or an expression in brackets."""

    base: Expression
    key: Expression | str


@dataclass(frozen=True)
class ToScalar:
    """The first value of a query."""

    query: KqlQuery


@dataclass(frozen=True)
class Star:
    """All columns."""


@dataclass(frozen=True)
class TypeOf:
    """The name of a type as an argument."""

    type: str


Expression = Union[
    Literal, Name, FunctionCall, Negative, Binary, Membership, Between, Member, ToScalar, Star, TypeOf
]


@dataclass(frozen=True)
class NamedExpression:
    """An expression in a list, with its name or "" without one."""

    name: str
    expression: Expression


@dataclass(frozen=True)
class SortKey:
    """An expression to sort by."""

    expression: Expression
    direction: str
    nulls: str


@dataclass(frozen=True)
class TableName:
    """A table by its name."""

    name: str


@dataclass(frozen=True)
class Wildcard:
    """The tables whose names match a pattern, in a union."""

    pattern: str


@dataclass(frozen=True)
class Invocation:
    """A call of a function that returns a table."""

    call: FunctionCall


@dataclass(frozen=True)
class Print:
    """One row of expressions."""

    items: tuple[NamedExpression, ...]


@dataclass(frozen=True)
class DataTable:
    """Constant rows: names and types of columns, and the values row by row."""

    columns: tuple[tuple[str, str], ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Range:
    """A column of equidistant values."""

    name: str
    first: Expression
    last: Expression
    step: Expression


@dataclass(frozen=True)
class TableUnion:
    """The rows of several tables."""

    kind: str
    source_column: str
    is_fuzzy: bool
    parts: tuple[Source | KqlQuery, ...]


@dataclass(frozen=True)
class RowOperator:
    """An operator that has expressions only, such as where, extend, project, distinct or sort."""

    operator: str
    items: tuple[NamedExpression, ...] = ()
    keys: tuple[SortKey, ...] = ()
    count: int = 0
    patterns: tuple[tuple[str, str], ...] = ()  # of names, each with the order of its columns


@dataclass(frozen=True)
class Summarize:
    """Aggregates by groups."""

    items: tuple[NamedExpression, ...]
    by: tuple[NamedExpression, ...]


@dataclass(frozen=True)
class Join:
    """A join or a lookup with another query."""

    operator: str
    kind: str
    right: KqlQuery
    keys: tuple[Expression, ...]


@dataclass(frozen=True)
class Expand:
    """The operator mv-expand: its columns, each with its type."""

    targets: tuple[tuple[NamedExpression, str], ...]
    kind: str
    index: str
    limit: int | None


@dataclass(frozen=True)
class Parse:
    """The operator parse: its parts are strings, None for a star, and columns with their types."""

    value: Expression
    parts: tuple[str | tuple[str, str] | None, ...]
    is_filter: bool


Source = Union[TableName, Wildcard, Invocation, Print, DataTable, Range, TableUnion]
Operator = Union[RowOperator, Summarize, Join, Expand, Parse, TableUnion]


@dataclass(frozen=True)
class KqlQuery:
    """A source and the operators after it."""

    source: Source | KqlQuery
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True)
class Function:
    """A function of a query: names, types and defaults of its parameters, and its body."""

    parameters: tuple[tuple[str, str, Expression | None], ...]
    lets: tuple[Let, ...]
    body: Expression | KqlQuery


@dataclass(frozen=True)
class Let:
    """A definition."""

    name: str
    value: Expression | KqlQuery | Function
