"""The functions that convert a value to another type, as rows. Source: the reference of KQL, conversion functions."""

from __future__ import annotations

from amllog.insights.stores.local.kql.function_rows import Row, Rows, apply
from amllog.insights.stores.local.kql.reasons import InvalidKql
from amllog.insights.stores.local.kql.typed_sql import TypedSql, to_json

# fmt: off
CONVERSIONS: Rows = {
    "tostring": (Row("X", "string", "{0}"),),
    "tolong": (
        Row("l", "long", "{0}"), Row("R", "long", "kql_truncated({0})"), Row("s", "long", "kql_whole({0})"),
        Row("b", "long", "CAST({0} AS BIGINT)"), Row("p", "long", "{0}"), Row("d", "long", "kql_tolong({0})"),
    ),
    "toint": (
        Row("i", "int", "{0}"), Row("l", "int", "kql_low_bits({0})"), Row("b", "int", "CAST({0} AS INTEGER)"),
        Row("s", "int", "TRY_CAST(kql_whole({0}) AS INTEGER)"), Row("v", "int", "kql_saturated({0})"),
        Row("d", "int", "kql_toint({0})"),
    ),
    "toreal": (
        Row("r", "real", "{0}"), Row("s", "real", "kql_toreal({0})"), Row("b", "real", "CAST({0} AS DOUBLE)"),
        Row("p", "real", "CAST({0} AS DOUBLE)"), Row("d", "real", "kql_json_toreal({0})"),
    ),
    "tobool": (
        Row("b", "bool", "{0}"), Row("s", "bool", "kql_tobool({0})"), Row("l", "bool", "{0} <> 0"),
        Row("d", "bool", "kql_json_tobool({0})"),
    ),
    "toguid": (Row("s", "guid", "TRY_CAST({0} AS UUID)"),),
    "todatetime": (Row("t", "datetime", "{0}"), Row("S", "datetime", "kql_todatetime({0})")),
    "totimespan": (Row("p", "timespan", "{0}"), Row("S", "timespan", "kql_totimespan({0})")),
    "parse_json": (Row("d", "dynamic", "{0}"), Row("s", "dynamic", "kql_parse_json({0})")),
}
# fmt: on
CONVERTERS = {
    "string": "tostring",
    "int": "toint",
    "long": "tolong",
    "real": "toreal",
    "bool": "tobool",
    "datetime": "todatetime",
    "timespan": "totimespan",
    "guid": "toguid",
}  # fmt: skip


def converted(value: TypedSql, type_: str) -> TypedSql:
    """Return a value as another type. Raises InvalidKql if there is no conversion."""
    if value.type == type_:
        return value
    if type_ == "dynamic":
        return TypedSql(to_json(value), type_)
    for row in CONVERSIONS.get(CONVERTERS.get(type_, ""), ()):
        result = apply(row, [value])
        if result is not None:
            return result
    raise InvalidKql(f"{value.type} cannot be converted to {type_}")
