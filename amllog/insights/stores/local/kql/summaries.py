"""Compile the operator summarize.

The aggregates are the columns of an inner SELECT. The outer one has the expressions over them, so that these may be any
expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from amllog.insights.stores.local.kql.aggregates import AGGREGATES, ROWS, aggregate
from amllog.insights.stores.local.kql.column_names import ColumnNames, declared, implied_name
from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, check_size
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.row_operators import no_dynamic
from amllog.insights.stores.local.kql.scopes import Definitions, NameScope
from amllog.insights.stores.local.kql.syntax import (
    Expression,
    FunctionCall,
    Name,
    NamedExpression,
    Star,
    Summarize,
)
from amllog.insights.stores.local.kql.typed_sql import ORDERED, TypedSql, quote


def apply_summarize(operator: Summarize, relation: Relation, definitions: Definitions) -> Relation:
    """Return the groups of a relation."""
    reserved = declared([*operator.by, *(item for item in operator.items if item.name)])
    summary = _Summary(relation, definitions, ColumnNames(reserved, relation.columns))
    for item in operator.by:
        summary.add_key(item)
    for item in operator.items:
        summary.add(item)
    return summary.relation()


class _Summary:
    """The keys and the aggregates of one summarize."""

    def __init__(self, relation: Relation, definitions: Definitions, names: ColumnNames) -> None:
        self._relation, self._definitions, self._names = relation, definitions, names
        self._rows = NameScope(relation.columns, definitions)
        self._keys: dict[str, TypedSql] = {}
        self._values: dict[str, TypedSql] = {}
        self._inner: list[str] = []

    def add_key(self, item: NamedExpression) -> None:
        name = self._names.name(item)
        value = compile_expression(item.expression, self._rows)
        self._keys[name] = no_dynamic(value, f"summarize by {name!r}")

    def add(self, item: NamedExpression) -> None:
        call = item.expression
        if isinstance(call, FunctionCall) and call.name in ("arg_max", "arg_min"):
            for name, value in self._extreme_row(item, call):
                self._values[self._names.unique(name)] = value
        elif isinstance(call, FunctionCall) and call.name == "percentiles":
            if item.name or len(call.arguments) < 2:
                raise UnsupportedKql("percentiles() with a name: write several percentile()")
            for percent in call.arguments[1:]:
                single = FunctionCall("percentile", (call.arguments[0], percent))
                self._values[self._names.unique(implied_name(single))] = self._aggregates(single)
        else:
            self._values[self._names.name(item)] = self._aggregates(call)

    def _aggregates(self, node: Expression) -> TypedSql:
        """Return an expression over aggregates."""
        before = len(self._inner)
        value = compile_expression(node, NameScope({}, self._definitions, self._aggregate))
        if len(self._inner) == before:
            raise InvalidKql("summarize needs aggregates, such as count()")
        return value

    def _aggregate(self, call: FunctionCall) -> TypedSql | None:
        if call.name in ROWS:
            raise UnsupportedKql(f"{call.name}() inside of an expression")
        if call.name not in AGGREGATES:
            return None
        arguments = [compile_expression(argument, self._rows) for argument in call.arguments]
        return self._hidden(aggregate(call.name, arguments, self._relation.order))

    def _hidden(self, value: TypedSql) -> TypedSql:
        """Add a column to the inner SELECT."""
        name = f"_kql_a{len(self._inner)}"
        self._inner.append(f"{value.sql} AS {name}")
        return TypedSql(name, value.type)

    def _extreme_row(self, item: NamedExpression, call: FunctionCall) -> Iterator[tuple[str, TypedSql]]:
        """Yield the columns of arg_max or arg_min."""
        if not call.arguments:
            raise InvalidKql(f"{call.name}() needs arguments")
        first, kind = call.arguments[0], call.name[4:]
        extreme = compile_expression(first, self._rows)
        if extreme.type not in ORDERED:
            raise UnsupportedKql(f"{call.name}() by {extreme.type}")
        by = first.name if isinstance(first, Name) else ""
        if not by and not item.name:
            raise UnsupportedKql(f"{call.name}() by an expression without a name: write x = {call.name}(…)")
        yield item.name or by, self._hidden(TypedSql(f"{kind}({extreme.sql})", extreme.type))
        for argument in call.arguments[1:]:
            if not isinstance(argument, (Name, Star)):
                raise UnsupportedKql(f"{call.name}() of expressions: use extend before it")
            check_size(extreme.sql, len(self._relation.columns))
            others = [name for name in self._relation.columns if name != by and name not in self._keys]
            for name in others if isinstance(argument, Star) else [argument.name]:
                value = compile_expression(Name(name), self._rows)
                box = f"struct_pack(v := {value.sql})"
                sql = f"coalesce(arg_{kind}({box}, {extreme.sql}), any_value({box})).v"
                sql = f"coalesce({sql}, '')" if value.type == "string" else sql
                yield name, self._hidden(TypedSql(sql, value.type))

    def relation(self) -> Relation:
        """Return the groups."""
        if not self._keys and not self._values:
            raise InvalidKql("summarize needs an aggregate, or by")
        keys = [f"{value.sql} AS _kql_k{number}" for number, value in enumerate(self._keys.values())]
        inner = f"SELECT {', '.join([*keys, *self._inner])} FROM {self._relation.table}"
        if keys:
            inner += f" GROUP BY {', '.join(str(number + 1) for number in range(len(keys)))}"
        cells = [f"_kql_k{number} AS {quote(name)}" for number, name in enumerate(self._keys)]
        cells += [f"{value.sql} AS {quote(name)}" for name, value in self._values.items()]
        columns = {name: value.type for name, value in (*self._keys.items(), *self._values.items())}
        return Relation(f"SELECT {', '.join(cells)} FROM ({inner})", columns)
