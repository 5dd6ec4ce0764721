"""A relation: the SELECT of a query so far, with the types of its columns and its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from amllog.insights.stores.local.kql.reasons import UnsupportedKql, check_size, unknown_column
from amllog.insights.stores.local.kql.typed_sql import TypedSql, quote

ORDER = "_kql_order"  # the hidden column of a sorted relation


@dataclass(frozen=True)
class Relation:
    """A SELECT and its columns. If it is sorted, it has the column ORDER."""

    sql: str
    columns: Mapping[str, str]
    is_sorted: bool = False

    def __post_init__(self) -> None:
        check_size(self.sql)
        lowered: dict[str, str] = {}
        for name in self.columns:
            quote(name)
            other = lowered.setdefault(name.lower(), name)
            if other != name:
                raise UnsupportedKql(f"the columns {other!r} and {name!r}, which differ only in their case")

    @property
    def order(self) -> str:
        """The ORDER BY of its rows. "" if they have no order."""
        return f" ORDER BY {ORDER}" if self.is_sorted else ""

    @property
    def table(self) -> str:
        """The relation in a FROM clause."""
        return f"({self.sql})"

    def need(self, name: str) -> str:
        """Return the type of a column. Raises InvalidKql if there is no such column."""
        if name not in self.columns:
            raise unknown_column(name, self.columns)
        return self.columns[name]

    def filtered(self, test: str) -> Relation:
        """Return the rows that pass a test."""
        return Relation(f"SELECT * FROM {self.table} WHERE {test}", self.columns, self.is_sorted)

    def select(self, values: Mapping[str, TypedSql], suffix: str = "") -> Relation:
        """Return other columns of the same rows. `suffix` follows the FROM clause."""
        parts = [f"{value.sql} AS {quote(name)}" for name, value in values.items()]
        parts += [ORDER] if self.is_sorted else []
        columns = {name: value.type for name, value in values.items()}
        if not columns:
            raise UnsupportedKql("a table without columns")
        return Relation(f"SELECT {', '.join(parts)} FROM {self.table}{suffix}", columns, self.is_sorted)

    def keep(self, names: Iterable[str]) -> Relation:
        """Return only some columns."""
        return self.select({name: TypedSql(quote(name), self.columns[name]) for name in names})

    def extended(self, values: Mapping[str, TypedSql], suffix: str = "") -> Relation:
        """Return the relation with more columns. Those that it has are replaced."""
        present = {name: TypedSql(quote(name), type_) for name, type_ in self.columns.items()}
        return self.select({**present, **values}, suffix)

    def limited(self, count: int) -> Relation:
        """Return the first rows."""
        return Relation(f"SELECT * FROM {self.table}{self.order} LIMIT {count}", self.columns, self.is_sorted)
