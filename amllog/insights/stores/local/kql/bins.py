"""The functions bin and bin_at, which round down to a multiple of a size."""

from __future__ import annotations

from collections.abc import Sequence

from amllog.insights.stores.local.kql.function_rows import fill
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import NUMBERS, WHOLE, TypedSql, need_count, widen

_EPOCH = 621_355_968_000_000_000  # ticks from the year 1 to 1970
_FLOOR = "CASE WHEN {1} > 0 THEN {0} - (({0} % {1}) + {1}) % {1} END"
_FLOOR_AT = "CASE WHEN {1} > 0 THEN {0} - ((({0} - {2}) % {1}) + {1}) % {1} END"
_REAL = "CASE WHEN {1} > 0 THEN floor({0} / {1}) * {1} END"
_REAL_AT = "CASE WHEN {1} > 0 THEN floor(({0} - {2}) / {1}) * {1} + {2} END"
# Where the service begins to count is not published. These sizes divide all candidates.
_UNKNOWN = "bin() of a time by a size that does not divide 719162 days: use bin_at() or startofweek()"
_CHECKED = "CASE WHEN {{0}} > 0 AND {epoch} % {{0}} <> 0 THEN error('kql: {text}') ELSE {{0}} END"


def bin_(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile bin(value, size)."""
    need_count(arguments, "bin", 2)
    value, size = arguments
    if (value.type, size.type) == ("datetime", "timespan"):
        return _bin_time(value, size)
    return _bin("bin", value, size, None)


def bin_at(arguments: Sequence[TypedSql]) -> TypedSql:
    """Compile bin_at(value, size, fixed point)."""
    need_count(arguments, "bin_at", 3)
    value, size, point = arguments
    if (value.type, size.type, point.type) == ("datetime", "timespan", "datetime"):
        parts = [_ticks(value), size, _ticks(point)]
        return TypedSql(f"make_timestamp({fill(_FLOOR_AT, parts)} // 10)", "datetime")
    return _bin("bin_at", value, size, point)


def _ticks(time: TypedSql) -> TypedSql:
    return TypedSql(f"(epoch_us({time.sql}) * 10)", "long")


def _bin_time(value: TypedSql, size: TypedSql) -> TypedSql:
    if size.is_constant and size.value is not None and size.value > 0:
        if _EPOCH % size.value:
            raise UnsupportedKql(_UNKNOWN)
    else:
        size = TypedSql(fill(_CHECKED.format(epoch=_EPOCH, text=_UNKNOWN), [size]), "timespan")
    return TypedSql(f"make_timestamp({fill(_FLOOR, [_ticks(value), size])} // 10)", "datetime")


def _bin(name: str, value: TypedSql, size: TypedSql, point: TypedSql | None) -> TypedSql:
    parts = [value, size] if point is None else [value, size, point]
    types = {part.type for part in parts}
    if types == {"timespan"} or types <= {*WHOLE}:
        type_ = "timespan" if types == {"timespan"} else "long"
        whole = parts if type_ == "timespan" else [TypedSql(widen(part, "long"), "long") for part in parts]
        return TypedSql(f"({fill(_FLOOR if point is None else _FLOOR_AT, whole)})", type_)
    if types <= {*NUMBERS}:
        reals = [TypedSql(widen(part, "real"), "real") for part in parts]
        return TypedSql(f"({fill(_REAL if point is None else _REAL_AT, reals)})", "real")
    raise InvalidKql(f"{name}({', '.join(part.type for part in parts)})")


BINS = {"bin": bin_, "bin_at": bin_at}
