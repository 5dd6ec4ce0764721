"""The functions format_datetime and format_timespan, with constant formats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from amllog.insights.stores.local.kql.function_rows import fill
from amllog.insights.stores.local.kql.reasons import UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import TypedSql, need, need_count, text_sql

_ELEMENTS = re.compile(r"y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|.", re.DOTALL)
_SEPARATORS = "-/:,. _[]"
_TIMES = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S", "tt": "%p",
    "fffffff": "%f0", "ffffff": "%f", "M": "%-m", "d": "%-d", "H": "%-H", "h": "%-I", "m": "%-M", "s": "%-S",
}  # fmt: skip
_SPANS = {
    "d": "abs({0}) // 864000000000", "h": "abs({0}) // 36000000000 % 24", "H": "abs({0}) // 36000000000 % 24",
    "m": "abs({0}) // 600000000 % 60", "s": "abs({0}) // 10000000 % 60",
}  # fmt: skip
_PADDED = "CASE WHEN length({text}) < {width} THEN lpad({text}, {width}, '0') ELSE {text} END"


def format_datetime(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile format_datetime(time, format)."""
    return _formatted("format_datetime", "datetime", arguments)


def format_timespan(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile format_timespan(duration, format)."""
    return _formatted("format_timespan", "timespan", arguments)


def _formatted(name: str, type_: str, arguments: Sequence[TypedSql]) -> TypedSql:
    need_count(arguments, name, 2)
    value, form = (
        need(arguments[0], f"{name}()", type_),
        need(arguments[1], f"the format of {name}()", "string"),
    )
    if not form.is_constant:
        raise UnsupportedKql(f"{name}() with a format that is not a constant text")
    part = _time_part if type_ == "datetime" else _span_part
    parts = []
    for element in _ELEMENTS.findall(form.value):
        sql = text_sql(element) if element in _SEPARATORS else part(element)
        if not sql:
            raise UnsupportedKql(f"{element!r} in the format of {name}()")
        parts.append(sql)
    if not parts:
        return TypedSql("''", "string")
    sql = f"CASE WHEN {{0}} IS NULL THEN '' ELSE system.main.concat({', '.join(parts)}) END"
    return TypedSql(fill(sql, [value]), "string")


def _time_part(element: str) -> str:
    if element in _TIMES:
        return f"strftime({{0}}, '{_TIMES[element]}')"
    is_fraction = set(element) == {"f"} and len(element) < 6
    return f"substring(strftime({{0}}, '%f'), 1, {len(element)})" if is_fraction else ""


def _span_part(element: str) -> str:
    if element[0] in _SPANS and len(element) <= (8 if element[0] == "d" else 2):
        return _PADDED.format(text=f"CAST({_SPANS[element[0]]} AS VARCHAR)", width=len(element))
    if set(element) == {"f"} and len(element) < 8:
        return f"substring(lpad(CAST(abs({{0}}) % 10000000 AS VARCHAR), 7, '0'), 1, {len(element)})"
    return ""


FORMATS = {"format_datetime": format_datetime, "format_timespan": format_timespan}
