"""What the query service answers, without I/O: DuckDB's rows → the service's JSON; errors as the service words them.

In: names, types and rows; the text of an error. Out: JSON values of the form of `POST /v1/…/query`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

ROWS_MAX, BYTES_MAX = 500_000, 64_000_000
_TYPES = {
    "BIGINT": "long", "HUGEINT": "long", "UBIGINT": "long", "INTEGER": "int", "SMALLINT": "int", "TINYINT": "int",
    "UINTEGER": "long", "DOUBLE": "real", "FLOAT": "real", "BOOLEAN": "bool", "VARCHAR": "string", "UUID": "guid",
    "DATE": "datetime", "INTERVAL": "timespan",
}  # fmt: skip
_TOO_LARGE = "The results of this query exceed the set limit of {}, so not all records were returned {}"
_CODE = "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)."
_MEANT = (  # what our engine says, and how the service says the same
    (r"Table with name (\S+) does not exist", "SEM0100", "Failed to resolve table or column expression named '{}'"),
    (r"schema error for '(\w+)' \(unknown table", "SEM0100", "Failed to resolve table or column expression named '{}'"),
    (r'Referenced column "([^"]+)"', "SEM0100", "Failed to resolve scalar expression named '{}'"),
    (r"could not parse KQL at (\S+):", "SYN0002", "Query could not be parsed at [line:position={}]"),
)  # fmt: skip
_UNABLE = "unsupported KQL construct"


class ResponseLimits(NamedTuple):
    """How much one answer may have."""

    rows: int = ROWS_MAX
    bytes: int = BYTES_MAX


def answer(
    names: Sequence[str],
    types: Sequence[str],
    rows: Sequence[Sequence[Any]],
    limits: ResponseLimits,
    reached: str = "",
) -> dict[str, Any]:
    """The rows as the service gives them; what is beyond the limits is left out, and the error says so. `reached`: the
    limit that has cut them already."""
    kinds = [_type(one) for one in types]
    made = [[_cell(value, kind) for value, kind in zip(row, kinds)] for row in rows[: limits.rows]]
    over = f"{limits.rows} records" if len(rows) > limits.rows else reached
    total = 0
    for index, row in enumerate(made):
        total += len(orjson.dumps(row))
        if total > limits.bytes:
            made, over = made[:index], f"{limits.bytes} bytes"
            break
    columns = [{"name": name, "type": kind} for name, kind in zip(names, kinds)]
    found: dict[str, Any] = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": made}]}
    return with_error(found, _TOO_LARGE.format(over, _CODE), "-2133196797") if over else found


def with_error(found: dict[str, Any], message: str, code: str) -> dict[str, Any]:
    """The same answer, said to be a partial one."""
    inner = {"code": code, "message": message, "severity": 2, "severityName": "Error"}
    engine = {
        "code": "EngineError",
        "message": "Something went wrong processing your query on the server.",
        "innererror": inner,
    }
    whole = "There were some errors when processing your query."
    return {**found, "error": {"code": "PartialError", "message": whole, "details": [engine]}}


def refusal(told: str) -> tuple[int, dict[str, Any]]:
    """Status and body for a query that our engine does not answer: 400 for a wrong one, 501 for one beyond it."""
    if _UNABLE in told:
        return 501, {"error": {"code": "NotImplemented", "message": f"Not on this machine: {told}"}}
    for pattern, code, words in _MEANT:
        match = re.search(pattern, told)
        if match:
            return 400, bad_argument(code, words.format(match[1]))
    return 400, bad_argument("SEM0000", told)


def bad_argument(code: str, message: str) -> dict[str, Any]:
    """The body of a 400, nested as the service nests it."""
    is_syntax = code.startswith("SYN")
    kind = "SyntaxError" if is_syntax else "SemanticError"
    inner = {
        "code": kind,
        "message": f"A {'syntax' if is_syntax else 'semantic'} error occurred.",
        "innererror": {"code": code, "message": message},
    }
    outer = "The request had some invalid properties"
    return {"error": {"message": outer, "code": "BadArgumentError", "innererror": inner}}


def _type(duckdb: str) -> str:
    if duckdb.startswith("TIMESTAMP"):
        return "datetime"
    return "decimal" if duckdb.startswith("DECIMAL") else _TYPES.get(duckdb, "dynamic")


def _cell(value: Any, kind: str) -> Any:
    """A value as the service's JSON has it: texts are never null, what JSON has no number for is a name."""
    if value is None:
        return "" if kind == "string" else None
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc) if value.tzinfo else value
        return utc.replace(tzinfo=None).isoformat() + (
            "0Z" if utc.microsecond else "Z"
        )  # 7 digits: Kusto's ticks
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if kind == "dynamic" and not isinstance(value, str):
        return orjson.dumps(value, default=str).decode()
    return value if kind in ("long", "int", "real", "bool") else str(value)


def _span(value: timedelta) -> str:
    sign, whole = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(whole.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{whole.days}." if whole.days else ""
    ticks = f".{whole.microseconds:06d}0" if whole.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{ticks}"
