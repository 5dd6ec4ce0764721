"""Functions that choose one of their arguments: iff, case, coalesce, max_of, min_of and not."""

from __future__ import annotations

from collections.abc import Sequence

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import (
    ORDERED,
    TypedSql,
    common_type,
    convert,
    need,
    need_count,
)


def iff(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile iff(condition, value, otherwise)."""
    need_count(arguments, "iff", 3)
    return _cases("iff()", arguments)


def case(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile case(condition, value, …, otherwise)."""
    if len(arguments) < 3 or len(arguments) % 2 == 0:
        raise InvalidKql("case() needs pairs of a condition and a value, and a last value")
    return _cases("case()", arguments)


def _cases(name: str, arguments: Sequence[TypedSql]) -> TypedSql:
    tests, values = arguments[:-1:2], [*arguments[1:-1:2], arguments[-1]]
    for test in tests:
        need(test, f"the condition of {name}", "bool")
    type_ = common_type(values, name)
    arms = " ".join(f"WHEN {test.sql} THEN {convert(value, type_)}" for test, value in zip(tests, values))
    return TypedSql(f"CASE {arms} ELSE {convert(values[-1], type_)} END", type_)


def coalesce(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile coalesce(value, …). An empty text is like null."""
    need_count(arguments, "coalesce", 2, 64)
    type_ = common_type(arguments, "coalesce()")
    if type_ == "string":
        return TypedSql(
            f"coalesce({', '.join(f'nullif({value.sql}, {_EMPTY})' for value in arguments)}, '')", type_
        )
    return TypedSql(f"coalesce({', '.join(convert(value, type_) for value in arguments)})", type_)


def max_of(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile max_of(value, …)."""
    return _extreme("max_of", "greatest", arguments)


def min_of(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile min_of(value, …)."""
    return _extreme("min_of", "least", arguments)


def _extreme(name: str, function: str, arguments: Sequence[TypedSql]) -> TypedSql:
    need_count(arguments, name, 2, 64)
    type_ = common_type(arguments, f"{name}()")
    if type_ not in ORDERED:
        raise UnsupportedKql(f"{name}() of {type_}")
    return TypedSql(f"{function}({', '.join(convert(value, type_) for value in arguments)})", type_)


def negation(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile not(condition)."""
    need_count(arguments, "not", 1)
    return TypedSql(f"(NOT {need(arguments[0], 'not()', 'bool').sql})", "bool")


_EMPTY = "''"
CONDITIONALS = {
    "iff": iff,
    "case": case,
    "coalesce": coalesce,
    "max_of": max_of,
    "min_of": min_of,
    "not": negation,
}
