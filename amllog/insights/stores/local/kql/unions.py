"""Compile the operator union."""

from __future__ import annotations

from collections.abc import Mapping

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.typed_sql import TypedSql, constant, quote, text_sql


def apply_union(parts: list[tuple[str, Relation]], kind: str, source_column: str) -> Relation:
    """Return the rows of several relations, each with its name for the source column."""
    if not parts:
        raise InvalidKql("none of the tables of the union exists", code="SEM0100")
    types = _types([relation for _, relation in parts])
    if kind == "inner":
        types = {name: type_ for name, type_ in types.items() if all(name in r.columns for _, r in parts)}
    if source_column in types:
        raise UnsupportedKql(f"union withsource={source_column}, which is a column of its tables")
    if not types:
        raise UnsupportedKql("a union without columns")
    selects = []
    for label, relation in parts:
        cells = [f"{text_sql(label)} AS {quote(source_column)}"] if source_column else []
        cells += [f"{_cell(relation, name, type_).sql} AS {quote(name)}" for name, type_ in types.items()]
        selects.append(f"SELECT {', '.join(cells)} FROM {relation.table}")
    columns = {**({source_column: "string"} if source_column else {}), **types}
    return Relation("\nUNION ALL ".join(selects), columns)


def _cell(relation: Relation, name: str, type_: str) -> TypedSql:
    return TypedSql(quote(name), type_) if name in relation.columns else constant(type_, None)


def _types(relations: list[Relation]) -> Mapping[str, str]:
    """Return the columns of all relations. The service makes several columns of a name with several types."""
    types: dict[str, str] = {}
    for relation in relations:
        for name, type_ in relation.columns.items():
            if types.setdefault(name, type_) != type_:
                raise UnsupportedKql(
                    f"a union in which {name!r} is {types[name]} and {type_}, of which the service makes two columns"
                )
    return types
