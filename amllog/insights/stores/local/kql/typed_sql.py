"""SQL with its Kusto type, and conversions between types.

A bool is held as BOOLEAN, an int as INTEGER, a long as BIGINT, a real as DOUBLE, a datetime as TIMESTAMP in UTC, a guid
as UUID. A string is a VARCHAR that is never NULL. A timespan is a BIGINT of ticks (100 ns). A dynamic value is JSON,
and its null is NULL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, check_size

SQL_TYPES = {
    "bool": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "string": "VARCHAR",
    "datetime": "TIMESTAMP", "timespan": "BIGINT", "guid": "UUID", "dynamic": "JSON",
}  # fmt: skip
WHOLE = ("int", "long")
NUMBERS = (*WHOLE, "real")
ORDERED = (*NUMBERS, "datetime", "timespan")
RESERVED = "_kql"  # the prefix of our own names in SQL
_SIMPLE = re.compile(r'"(?:[^"]|"")*"|_kql_\w+(?:\.a\d+)?', re.ASCII)


@dataclass(frozen=True)
class TypedSql:
    """An SQL expression, its Kusto type, and its value if it is a constant."""

    sql: str
    type: str
    value: Any = None
    is_constant: bool = False

    def __post_init__(self) -> None:
        check_size(self.sql)

    @property
    def is_simple(self) -> bool:
        """Return whether the SQL is a constant or a column, so that it may be repeated."""
        return self.is_constant or bool(_SIMPLE.fullmatch(self.sql))


def quote(name: str) -> str:
    """Return a name of a column as SQL. Raises UnsupportedKql for a name that the engine cannot have."""
    if name.lower().startswith(RESERVED) or not name or "\0" in name:
        raise UnsupportedKql(f"a column with the name {name!r}")
    return '"' + name.replace('"', '""') + '"'


def text_sql(text: str) -> str:
    """Return a string as SQL. Raises InvalidKql for a NUL character."""
    if "\0" in text:
        raise InvalidKql("the query contains a NUL character")
    return "'" + text.replace("'", "''") + "'"


def constant(type_: str, value: Any) -> TypedSql:
    """Return a value of a literal as SQL. None is null."""
    if type_ not in SQL_TYPES:
        raise UnsupportedKql(f"the type {type_}")
    if value is None:
        sql = "''" if type_ == "string" else f"CAST(NULL AS {SQL_TYPES[type_]})"
    elif type_ == "string":
        sql = text_sql(value)
    elif type_ in ("long", "int", "timespan"):
        sql = f"CAST({value} AS {SQL_TYPES[type_]})"
    elif type_ == "real":
        sql = f"CAST('{value!r}' AS DOUBLE)"
    elif type_ == "bool":
        sql = "true" if value else "false"
    elif type_ == "datetime":
        sql = f"TIMESTAMP '{value}'"
    elif type_ == "guid":
        sql = f"CAST('{value}' AS UUID)"
    else:
        sql = f"CAST({text_sql(json.dumps(value, ensure_ascii=False, separators=(',', ':')))} AS JSON)"
    return TypedSql(sql, type_, value, is_constant=True)


def to_text(value: TypedSql) -> str:
    """Return the SQL of tostring()."""
    macros = {"bool": "kql_bool", "real": "kql_real", "datetime": "kql_time", "timespan": "kql_span",
              "dynamic": "kql_text"}  # fmt: skip
    if value.type == "string":
        return value.sql
    if value.type in macros:
        return f"{macros[value.type]}({value.sql})"
    return f"coalesce(CAST({value.sql} AS VARCHAR), '')"


def to_json(value: TypedSql) -> str:
    """Return the SQL of a value as an element of a dynamic value. Times and durations are text there."""
    macros = {"datetime": "kql_time_json", "timespan": "kql_span_json", "real": "kql_real_json"}
    if value.type == "dynamic":
        return value.sql
    if value.type == "guid":
        return f"to_json(CAST({value.sql} AS VARCHAR))"
    return f"{macros.get(value.type, 'to_json')}({value.sql})"


def widen(value: TypedSql, type_: str) -> str:
    """Return the SQL of a number as another type of number."""
    return value.sql if value.type == type_ else f"CAST({value.sql} AS {SQL_TYPES[type_]})"


def convert(value: TypedSql, type_: str) -> str:
    """Return the SQL of a value as the common type of several values."""
    if value.type == type_:
        return value.sql
    return to_json(value) if type_ == "dynamic" else widen(value, type_)


def common_type(values: Iterable[TypedSql], place: str) -> str:
    """Return the type of values that may stand for each other. Raises InvalidKql if there is none."""
    types = {value.type for value in values}
    if len(types) == 1:
        return types.pop()
    if types == {"int", "long"}:
        return "long"
    if types <= {*NUMBERS, "dynamic"}:
        raise UnsupportedKql(
            f"{place} of {' and '.join(sorted(types))}: convert them to one type, as in toreal(…)"
        )
    raise InvalidKql(f"{place} of different types ({', '.join(sorted(types))})")


def need(value: TypedSql, place: str, *types: str) -> TypedSql:
    """Return a value that has one of these types. Raises InvalidKql for another one."""
    if value.type not in types:
        usual = next((name for name in ("string", "real") if name in types), types[-1])
        advice = f": convert it, as in to{usual}(…)"
        raise InvalidKql(f"{place} of {value.type}{advice if value.type == 'dynamic' else ''}")
    return value


def need_count(arguments: Sequence[TypedSql], name: str, least: int, most: int = 0) -> None:
    """Raise InvalidKql for another number of arguments."""
    if not least <= len(arguments) <= (most or least):
        raise InvalidKql(f"{name}() has {len(arguments)} arguments")
