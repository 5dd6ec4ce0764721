"""One question, whole: which tables, of when, on what conditions, which columns, summed up how.

In: plain values. Out: a frozen `Query`, from which `kql` and `sql` write the same question for two engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Union


class Dimension(NamedTuple):
    """A customDimension, by its key."""

    key: str


class Equals(NamedTuple):
    """One of `of` (a column's name, or a dimension) has one of `values`; `negated`: none of them."""

    columns: tuple[str | Dimension, ...]
    values: tuple[str, ...]
    negated: bool = False


class Contains(NamedTuple):
    """The record's text (message, stack, name) has `text` in it, in capitals or not."""

    text: str


class AtLeast(NamedTuple):
    """The record is of this severity (0 DEBUG … 4 CRITICAL) or above."""

    severity: int


class Holds(NamedTuple):
    """A column of type bool is true."""

    column: str


Condition = Union[Equals, Contains, AtLeast, Holds]


class Total(NamedTuple):
    """`name = function(of)`: count (of nothing), countif (of a bool column or a comparison), min, max, sum;
    `last`: of the latest record."""

    name: str
    function: str
    argument: str = ""


class State(NamedTuple):
    """A text by the first comparison that holds: `cases` are pairs of a comparison such as `failed > 0` and a text."""

    name: str
    cases: tuple[tuple[str, str], ...]
    otherwise: str


@dataclass(frozen=True)
class Summary:
    """Rows summed up: one per value of `by`, with totals, and texts made from these."""

    by: tuple[str | Dimension, ...]
    totals: tuple[Total, ...]
    states: tuple[State, ...] = ()


@dataclass(frozen=True)
class Query:
    """A question. `columns` are names of `columns.CATALOGUE` or dimensions; `order` names, `-` before it: the latest
    or greatest first; `since` may be a time ago."""

    tables: tuple[str, ...]
    columns: tuple[str | Dimension, ...]
    since: datetime | timedelta | None = None
    until: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    summaries: tuple[Summary, ...] = ()
    order: tuple[str, ...] = ()
    limit: int | None = None


def column_name(column: str | Dimension) -> str:
    """The name under which a column comes out."""
    return column.key if isinstance(column, Dimension) else column
