"""The functions of the calendar: the start and end of a period, and datetime_add, datetime_diff and datetime_part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amllog.insights.stores.local.kql.function_rows import fill
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import WHOLE, TypedSql, need, need_count

_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond")
_PARTS = {
    "year": "year({0})", "quarter": "quarter({0})", "month": "month({0})", "week_of_year": "weekofyear({0})",
    "day": "day({0})", "dayofyear": "dayofyear({0})", "hour": "hour({0})", "minute": "minute({0})",
    "second": "second({0})", "millisecond": "epoch_us({0}) // 1000 % 1000", "microsecond": "epoch_us({0}) % 1000000",
}  # fmt: skip
# The number of Sundays since 1970.
_WEEK = "CAST(floor((datediff('day', TIMESTAMP '1970-01-01', {}) + 4) / 7) AS BIGINT)"
_SMALL = ("day", "week", "month", "quarter", "year")  # units of which DuckDB accepts an INTEGER only


def _period(unit: str, *, is_end: bool) -> Callable[[Sequence[TypedSql]], TypedSql]:
    """Return the function of the start or the end of a period. A week begins on Sunday."""
    name = f"{'end' if is_end else 'start'}of{unit}"

    def compile_period(arguments: Sequence[TypedSql]) -> TypedSql:
        need_count(arguments, name, 1, 2)
        time = need(arguments[0], f"{name}()", "datetime").sql
        count = "0"
        if len(arguments) > 1:
            count = f"CAST({need(arguments[1], f'the offset of {name}()', *WHOLE).sql} AS INTEGER)"
        if unit == "week":
            start = f"date_trunc('week', {time} + INTERVAL 1 DAY) - INTERVAL 1 DAY + to_days(7 * {count})"
        else:
            start = f"date_trunc('{unit}', {time}) + to_{unit}s({count})"
        end = f" + INTERVAL 1 {unit.upper()} - INTERVAL 1 MICROSECOND" if is_end else ""
        return TypedSql(f"CAST({start}{end} AS TIMESTAMP)", "datetime")

    return compile_period


def _unit(value: TypedSql, name: str, allowed: Sequence[str]) -> str:
    if value.type != "string" or not value.is_constant:
        raise UnsupportedKql(f"{name}() with a unit that is not a constant text")
    unit = str(value.value).lower()
    if unit not in allowed:
        raise UnsupportedKql(f"{name}({unit!r}): the units are {', '.join(allowed)}")
    return unit


def datetime_add(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile datetime_add(unit, number, time)."""
    need_count(arguments, "datetime_add", 3)
    unit = _unit(arguments[0], "datetime_add", _UNITS)
    number = need(arguments[1], "the number of datetime_add()", *WHOLE).sql
    time = need(arguments[2], "the time of datetime_add()", "datetime").sql
    if unit in ("quarter", "millisecond"):
        number, unit = (
            (f"3 * {number}", "month") if unit == "quarter" else (f"1000 * {number}", "microsecond")
        )
    kind = "INTEGER" if unit in _SMALL else "BIGINT"
    return TypedSql(f"CAST({time} + to_{unit}s(CAST({number} AS {kind})) AS TIMESTAMP)", "datetime")


def datetime_diff(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile datetime_diff(unit, later, earlier), which counts the boundaries between the times."""
    need_count(arguments, "datetime_diff", 3)
    unit = _unit(arguments[0], "datetime_diff", _UNITS)
    later, earlier = (need(value, "datetime_diff()", "datetime").sql for value in arguments[1:])
    if unit == "week":
        return TypedSql(f"({_WEEK.format(later)} - {_WEEK.format(earlier)})", "long")
    return TypedSql(f"datediff('{unit}', {earlier}, {later})", "long")


def datetime_part(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile datetime_part(unit, time)."""
    need_count(arguments, "datetime_part", 2)
    unit = _unit(arguments[0], "datetime_part", tuple(_PARTS))
    if arguments[1].type != "datetime":
        raise InvalidKql(f"datetime_part() of {arguments[1].type}")
    return TypedSql(f"CAST({fill(_PARTS[unit], [arguments[1]])} AS BIGINT)", "long")


CALENDAR = {
    **{
        f"{'end' if is_end else 'start'}of{unit}": _period(unit, is_end=is_end)
        for unit in ("day", "week", "month", "year")
        for is_end in (False, True)
    },
    "datetime_add": datetime_add,
    "datetime_diff": datetime_diff,
    "datetime_part": datetime_part,
}
