"""Compile an expression to SQL with its type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amllog.insights.stores.local.kql import syntax
from amllog.insights.stores.local.kql.comparisons import arithmetic, compare
from amllog.insights.stores.local.kql.function_calls import call, check_name
from amllog.insights.stores.local.kql.function_rows import fill
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, check_size
from amllog.insights.stores.local.kql.scopes import NameScope
from amllog.insights.stores.local.kql.typed_sql import (
    NUMBERS,
    TypedSql,
    constant,
    need,
    text_sql,
    to_text,
    widen,
)

_AT = "kql_path({0}, CASE WHEN {1} < 0 THEN '$[#' || {1} || ']' ELSE '$[' || {1} || ']' END)"
_OF = "CASE WHEN json_type({0}) = 'OBJECT' THEN kql_key({0}, {1}) END"


def compile_expression(node: syntax.Expression, scope: NameScope) -> TypedSql:
    """Return the SQL of an expression. Raises KqlError if it is invalid or not supported."""
    return _COMPILERS[type(node)](node, scope)


def condition(node: syntax.Expression, scope: NameScope, place: str) -> str:
    """Return the SQL of a condition."""
    return need(compile_expression(node, scope), place, "bool").sql


def _literal(node: syntax.Literal, scope: NameScope) -> TypedSql:
    return constant(node.type, node.value)


def _name(node: syntax.Name, scope: NameScope) -> TypedSql:
    return scope.name(node.name)


def _negative(node: syntax.Negative, scope: NameScope) -> TypedSql:
    value = need(compile_expression(node.argument, scope), "the sign -", *NUMBERS, "timespan")
    type_ = "long" if value.type == "int" else value.type
    return TypedSql(f"(-{widen(value, type_)})", type_)


def _binary(node: syntax.Binary, scope: NameScope) -> TypedSql:
    """Compile a chain of operators from its left end, because long chains would be nested too deeply."""
    if node.operator in ("and", "or"):
        sides = [condition(side, scope, repr(node.operator)) for side in _chain(node)]
        return TypedSql(f"({f' {node.operator.upper()} '.join(sides)})", "bool")
    if node.operator not in "+-*/%":
        return compare(
            node.operator, compile_expression(node.left, scope), compile_expression(node.right, scope)
        )
    parts = [node]
    while isinstance(parts[-1].left, syntax.Binary) and parts[-1].left.operator in "+-*/%":
        parts.append(parts[-1].left)
    value = compile_expression(parts[-1].left, scope)
    for part in reversed(parts):
        value = arithmetic(part.operator, value, compile_expression(part.right, scope))
    return value


def _chain(node: syntax.Binary) -> list[syntax.Expression]:
    """Return the sides of a chain of the same operator."""
    sides = [node.right]
    left = node.left
    while isinstance(left, syntax.Binary) and left.operator == node.operator:
        sides.append(left.right)
        left = left.left
    return [left, *reversed(sides)]


def _between(node: syntax.Between, scope: NameScope) -> TypedSql:
    value, low, high = (compile_expression(part, scope) for part in (node.value, node.low, node.high))
    if value.type == "datetime" and high.type == "timespan":
        high = arithmetic("+", low, high)
    sql = f"({compare('>=', value, low).sql} AND {compare('<=', value, high).sql})"
    return TypedSql(f"(NOT {sql})" if node.is_negated else sql, "bool")


def _member(node: syntax.Member, scope: NameScope) -> TypedSql:
    base = compile_expression(node.base, scope)
    if base.type != "dynamic":
        raise InvalidKql(f"a member of {base.type}: only dynamic values have members")
    if isinstance(node.key, str):
        if any(character in '"\\*' for character in node.key):
            return TypedSql(f"kql_key({base.sql}, {text_sql(node.key)})", "dynamic")
        path = text_sql(f'$."{node.key}"')
        return TypedSql(f"kql_path({base.sql}, {path})", "dynamic")
    key = compile_expression(node.key, scope)
    if key.type == "string":
        return TypedSql(fill(_OF, [base, key]), "dynamic")
    if key.type not in ("int", "long"):
        raise InvalidKql(f"a member by {key.type}")
    if key.is_constant and key.value is not None:
        path = f"$[{key.value}]" if key.value >= 0 else f"$[#{key.value}]"
        return TypedSql(f"kql_path({base.sql}, '{path}')", "dynamic")
    return TypedSql(fill(_AT, [base, key]), "dynamic")


def _to_scalar(node: syntax.ToScalar, scope: NameScope) -> TypedSql:
    return scope.definitions.scalar(node.query)


def _star(node: syntax.Star, scope: NameScope) -> TypedSql:
    raise UnsupportedKql("* in place of an expression: name the column, as in message has 'x'")


def _type_of(node: syntax.TypeOf, scope: NameScope) -> TypedSql:
    raise UnsupportedKql("typeof() in place of an expression")


def _call(node: syntax.FunctionCall, scope: NameScope) -> TypedSql:
    if node.name in scope.definitions.names:
        arguments = [compile_expression(argument, scope) for argument in node.arguments]
        result = scope.definitions.call(node.name, arguments)
        if result is not None:
            return result
    if scope.aggregate is not None:
        aggregate = scope.aggregate(node)
        if aggregate is not None:
            return aggregate
    check_name(node.name)  # before its arguments, whose faults may follow from this one
    return call(node.name, list(_arguments(node, scope)), scope.definitions.now)


def _arguments(node: syntax.FunctionCall, scope: NameScope) -> Iterator[TypedSql]:
    for index, argument in enumerate(node.arguments):
        if node.name == "extract" and index == 3 and isinstance(argument, syntax.TypeOf):
            yield TypedSql("", "typeof", argument.type)
        else:
            yield compile_expression(argument, scope)


def _membership(node: syntax.Membership, scope: NameScope) -> TypedSql:
    value = compile_expression(node.value, scope)
    if isinstance(node.items, syntax.KqlQuery):
        sql = _in_query(node.operator, value, node.items, scope)
    else:
        items = list(_flat(node.operator, [compile_expression(item, scope) for item in node.items]))
        if not items:
            raise UnsupportedKql(f"{node.operator} without values")
        sql = _in_list(node.operator, value, items)
    return TypedSql(f"(NOT {sql})" if node.operator[0] == "!" else sql, "bool")


def _flat(operator: str, items: Sequence[TypedSql]) -> Iterator[TypedSql]:
    """Yield the values of a list, with those of constant dynamic lists."""
    for item in items:
        if item.type != "dynamic":
            yield item
            continue
        if not item.is_constant or not isinstance(item.value, list):
            raise UnsupportedKql(f"{operator} with a dynamic value that is not a constant list")
        for element in item.value:
            types = {bool: "bool", int: "long", float: "real", str: "string"}
            if type(element) not in types or (type(element) is int and abs(element) >= 2**63):
                raise UnsupportedKql(f"{operator} with a list of other values than texts and numbers")
            yield constant(types[type(element)], element)


def _in_list(operator: str, value: TypedSql, items: Sequence[TypedSql]) -> str:
    if operator in ("has_any", "has_all"):
        check_size(value.sql, len(items))
        word = " OR " if operator == "has_any" else " AND "
        return f"({word.join(compare('has', value, item).sql for item in items)})"
    check_size(value.sql, len(items))
    test = "=~" if "~" in operator else "=="
    tests = [compare(test, value, item).sql for item in items]
    if all(item.is_constant and item.type == "string" for item in items) and value.type in (
        "string",
        "dynamic",
    ):
        form = "kql_lower({})" if test == "=~" else "{}"
        return f"({form.format(to_text(value))} IN ({', '.join(form.format(item.sql) for item in items)}))"
    return "(" + " OR ".join(f"coalesce({sql}, false)" for sql in tests) + ")"


def _in_query(operator: str, value: TypedSql, query: syntax.KqlQuery, scope: NameScope) -> str:
    sql, type_, count = scope.definitions.column(query)
    numbers = value.type in NUMBERS and type_ in NUMBERS
    fits = value.type == type_ or (value.type == "dynamic" and type_ == "string") or numbers
    if operator in ("has_any", "has_all") or not fits or type_ == "dynamic" or count != 1:
        raise UnsupportedKql(f"{operator} of {value.type} with a query of {count} columns of {type_}")
    text = to_text(value) if type_ == "string" else value.sql
    if "~" in operator:
        if type_ != "string":
            raise InvalidKql(f"{operator} needs text and not {type_}")
        text, sql = f"kql_lower({text})", f"SELECT kql_lower(_kql_in) FROM ({sql})"
    return f"coalesce({text} IN ({sql}), false)"


_COMPILERS: dict[type, Callable[[Any, NameScope], TypedSql]] = {
    syntax.Literal: _literal,
    syntax.Name: _name,
    syntax.FunctionCall: _call,
    syntax.Negative: _negative,
    syntax.Binary: _binary,
    syntax.Membership: _membership,
    syntax.Between: _between,
    syntax.Member: _member,
    syntax.ToScalar: _to_scalar,
    syntax.Star: _star,
    syntax.TypeOf: _type_of,
}
