"""Bind the arguments of a call to the parameters of a function that the query defines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.reasons import InvalidKql
from amllog.insights.stores.local.kql.scopes import NameScope
from amllog.insights.stores.local.kql.syntax import Function
from amllog.insights.stores.local.kql.typed_sql import WHOLE, TypedSql, widen


def bind(
    name: str, function: Function, arguments: Sequence[TypedSql], scope: NameScope
) -> Iterator[tuple[str, TypedSql]]:
    """Yield the parameters of a function with their values. Raises InvalidKql if they do not fit."""
    if len(arguments) > len(function.parameters):
        raise InvalidKql(f"{name}() has {len(arguments)} arguments")
    for index, (parameter, type_, default) in enumerate(function.parameters):
        if index < len(arguments):
            value = arguments[index]
        elif default is not None:
            value = compile_expression(default, scope)
        else:
            raise InvalidKql(f"{name}() needs the argument {parameter}")
        if value.type in WHOLE and type_ in (*WHOLE, "real") and value.type != type_:
            value = TypedSql(widen(value, type_), type_)
        if value.type != type_:
            raise InvalidKql(f"{name}(): the argument {parameter} is {value.type} and not {type_}")
        yield parameter, value
