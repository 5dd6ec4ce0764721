"""The aggregate functions of summarize, each as a function of its arguments and a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import (
    NUMBERS,
    ORDERED,
    WHOLE,
    TypedSql,
    need,
    need_count,
    to_json,
    widen,
)

Maker = Callable[[Sequence[TypedSql], str, str], TypedSql]


class Aggregate(NamedTuple):
    """An aggregate function: its SQL, its least and most arguments, and the name of its column before the argument's.

    `test` is the position of its condition, -1 without one.
    """

    make: Maker
    least: int
    most: int
    prefix: str
    test: int = -1


def _count(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
    return TypedSql(f"count(*){where}", "long")


def _sum(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
    (value,) = arguments
    if value.type == "real":
        return TypedSql(f"coalesce(sum({value.sql}){where}, 0.0)", "real")
    type_ = "timespan" if need(value, "sum()", *WHOLE, "real", "timespan").type == "timespan" else "long"
    return TypedSql(f"CAST(coalesce(sum({value.sql}){where}, 0) AS BIGINT)", type_)


def _average(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
    (value,) = arguments
    if value.type == "timespan":
        return TypedSql(f"CAST(trunc(avg({value.sql}){where}) AS BIGINT)", "timespan")
    if value.type == "datetime":
        return TypedSql(
            f"make_timestamp(CAST(trunc(avg(epoch_us({value.sql})){where}) AS BIGINT))", "datetime"
        )
    number = widen(need(value, "avg()", *ORDERED), "real")
    return TypedSql(f"coalesce(avg({number}){where}, CAST('nan' AS DOUBLE))", "real")


def _extreme(function: str) -> Maker:
    def make(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
        (value,) = arguments
        if value.type == "string":
            return TypedSql(f"coalesce({function}(nullif({value.sql}, '')){where}, '')", "string")
        if value.type not in ORDERED:
            raise UnsupportedKql(f"{function}() of {value.type}")
        return TypedSql(f"{function}({value.sql}){where}", value.type)

    return make


def _spread(name: str, function: str) -> Maker:
    def make(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
        number = widen(need(arguments[0], f"{name}()", *NUMBERS), "real")
        return TypedSql(f"coalesce({function}({number}){where}, 0.0)", "real")

    return make


def _need_constant(arguments: Sequence[TypedSql], name: str) -> None:
    """Raise KqlError if the second argument is not a constant whole number."""
    for value in arguments[1:]:
        if not value.is_constant or value.type not in WHOLE or value.value is None or value.value < 0:
            raise UnsupportedKql(f"{name}() whose second argument is not a constant whole number")


def _distinct_count(name: str) -> Maker:
    def make(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
        _need_constant(arguments, name)
        value = arguments[0]
        if value.type == "dynamic" and name != "dcount":
            raise UnsupportedKql(f"{name}() of dynamic: convert it, as in tostring(…)")
        sql = f"CAST({value.sql} AS VARCHAR)" if value.type == "dynamic" else value.sql
        return TypedSql(f"count(DISTINCT {sql}){where}", "long")

    return make


def _listed(name: str, *, is_distinct: bool) -> Maker:
    def make(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
        _need_constant(arguments, name)
        value = arguments[0]
        if is_distinct and value.type == "dynamic":
            raise UnsupportedKql(f"{name}() of dynamic: convert it, as in tostring(…)")
        test = f"{value.sql} IS NOT NULL"
        kept = where.replace("(WHERE ", f"(WHERE {test} AND ", 1) if where else f" FILTER (WHERE {test})"
        items = f"DISTINCT {to_json(value)}" if is_distinct else f"{to_json(value)}{order}"
        sql = f"list({items}){kept}"
        if len(arguments) > 1:
            sql = f"list_slice({sql}, 1, {arguments[1].sql})"
        return TypedSql(f"to_json(coalesce({sql}, CAST([] AS JSON[])))", "dynamic")

    return make


def _any(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
    (value,) = arguments
    if value.type == "string":
        return TypedSql(f"coalesce(any_value(nullif({value.sql}, '')){where}, '')", "string")
    return TypedSql(f"any_value({value.sql}){where}", value.type)


def _percentile(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
    value, percent = arguments
    if not percent.is_constant or percent.type not in NUMBERS or percent.value is None:
        raise UnsupportedKql("percentile() without a constant number")
    if not 0 <= percent.value <= 100:
        raise InvalidKql("percentile() needs a number from 0 to 100")
    if value.type not in ORDERED:
        raise UnsupportedKql(f"percentile() of {value.type}")
    type_ = "long" if value.type == "int" else value.type
    sql = widen(value, type_) if value.type == "int" else value.sql
    return TypedSql(f"quantile_disc({sql}, {float(percent.value) / 100!r}){where}", type_)


def _bits(name: str, function: str) -> Maker:
    def make(arguments: Sequence[TypedSql], where: str, order: str) -> TypedSql:
        if arguments[0].type != "long":
            raise UnsupportedKql(f"{name}() of {arguments[0].type}")
        return TypedSql(f"{function}({arguments[0].sql}){where}", "long")

    return make


_PLAIN = {
    "count": Aggregate(_count, 0, 0, "count_"),
    "sum": Aggregate(_sum, 1, 1, "sum_"),
    "avg": Aggregate(_average, 1, 1, "avg_"),
    "min": Aggregate(_extreme("min"), 1, 1, "min_"),
    "max": Aggregate(_extreme("max"), 1, 1, "max_"),
    "stdev": Aggregate(_spread("stdev", "stddev_samp"), 1, 1, "stdev_"),
    "stdevp": Aggregate(_spread("stdevp", "stddev_pop"), 1, 1, "stdevp_"),
    "variance": Aggregate(_spread("variance", "var_samp"), 1, 1, "variance_"),
    "variancep": Aggregate(_spread("variancep", "var_pop"), 1, 1, "variancep_"),
    "dcount": Aggregate(_distinct_count("dcount"), 1, 2, "dcount_"),
    "count_distinct": Aggregate(_distinct_count("count_distinct"), 1, 1, "count_distinct_"),
    "make_list": Aggregate(_listed("make_list", is_distinct=False), 1, 2, "list_"),
    "make_set": Aggregate(_listed("make_set", is_distinct=True), 1, 2, "set_"),
    "take_any": Aggregate(_any, 1, 1, ""),
    "any": Aggregate(_any, 1, 1, "any_"),
    "percentile": Aggregate(_percentile, 2, 2, "percentile_"),
    "binary_all_and": Aggregate(_bits("binary_all_and", "bit_and"), 1, 1, "binary_all_and_"),
    "binary_all_or": Aggregate(_bits("binary_all_or", "bit_or"), 1, 1, "binary_all_or_"),
    "binary_all_xor": Aggregate(_bits("binary_all_xor", "bit_xor"), 1, 1, "binary_all_xor_"),
}
_CONDITIONAL = {
    "countif": ("count", "countif_"), "sumif": ("sum", "sumif_"), "avgif": ("avg", "avgif_"),
    "minif": ("min", "minif_"), "maxif": ("max", "maxif_"), "stdevif": ("stdev", "stdevif_"),
    "varianceif": ("variance", "varianceif_"), "dcountif": ("dcount", "dcountif_"),
    "make_list_if": ("make_list", "list_"), "make_set_if": ("make_set", "set_"), "take_anyif": ("take_any", ""),
    "count_distinctif": ("count_distinct", "count_distinctif_"),
}  # fmt: skip
AGGREGATES: dict[str, Aggregate] = {
    **_PLAIN,
    **{
        name: Aggregate(plain.make, plain.least + 1, plain.most + 1, prefix, min(plain.least, 1))
        for name, (base, prefix) in _CONDITIONAL.items()
        for plain in (_PLAIN[base],)
    },
}
ROWS = ("arg_max", "arg_min", "percentiles")  # they make several columns


def aggregate(name: str, arguments: Sequence[TypedSql], order: str) -> TypedSql:
    """Return the SQL of an aggregate function. `order`: the ORDER BY of its rows, "" if they have none."""
    function = AGGREGATES[name]
    need_count(arguments, name, function.least, function.most)
    values, where = list(arguments), ""
    if function.test >= 0:
        test = need(values.pop(function.test), f"the condition of {name}()", "bool")
        where = f" FILTER (WHERE {test.sql})"
    return function.make(values, where, order)
