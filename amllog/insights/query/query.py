"""One question as frozen data: tables, time range, conditions, columns, summaries and order.

`kql` and `sql` write the same `Query` for two engines, and `PythonStore` evaluates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Union


class Dimension(NamedTuple):
    """A customDimension, by its key."""

    key: str


class Alias(NamedTuple):
    """A column of the catalogue under another name."""

    name: str
    column: str


class Equals(NamedTuple):
    """At least one of `columns` has one of `values`. With `negated`, at least one has none of them."""

    columns: tuple[str | Dimension, ...]
    values: tuple[str, ...]
    negated: bool = False


class Contains(NamedTuple):
    """The message, stack or name of a record contains `text`, regardless of case."""

    text: str


class AtLeast(NamedTuple):
    """The record has this severity or a higher one, from 0 (DEBUG) to 4 (CRITICAL)."""

    severity: int


class Holds(NamedTuple):
    """A column of type bool is true."""

    column: str


Condition = Union[Equals, Contains, AtLeast, Holds]


class Total(NamedTuple):
    """`name = function(argument)`, an aggregate over the rows of a group.

    The functions are count, countif, min, max, sum and last. `count` has no argument. The argument of `countif` is a
    bool column or a comparison such as `ended > 0`. `last` is the value in the latest record.
    """

    name: str
    function: str
    argument: str = ""


class State(NamedTuple):
    """A string column, chosen by the first comparison that holds.

    `cases` are pairs of a comparison such as `failed > 0` and a string.
    """

    name: str
    cases: tuple[tuple[str, str], ...]
    otherwise: str


@dataclass(frozen=True)
class Summary:
    """One row per value of `by`, with totals, and with states that are computed from the totals."""

    by: tuple[str | Dimension, ...]
    totals: tuple[Total, ...]
    states: tuple[State, ...] = ()


@dataclass(frozen=True)
class Query:
    """One question.

    `columns` are names in `columns.CATALOGUE` or dimensions. `since` as a timedelta is relative to the present.
    `order` are column names, with the prefix `-` for descending order.
    """

    tables: tuple[str, ...]
    columns: tuple[str | Dimension | Alias, ...]
    since: datetime | timedelta | None = None
    until: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    summaries: tuple[Summary, ...] = ()
    order: tuple[str, ...] = ()
    limit: int | None = None


def column_name(column: str | Dimension | Alias) -> str:
    """Return the name of a column in the answer."""
    if isinstance(column, Alias):
        return column.name
    return column.key if isinstance(column, Dimension) else column
