"""Build query responses and errors in the format of `POST /v1/…/query`. No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

ROWS_MAX, BYTES_MAX = 500_000, 64_000_000
_TYPES = {
    "BIGINT": "long",
    "HUGEINT": "long",
    "UBIGINT": "long",
    "INTEGER": "int",
    "SMALLINT": "int",
    "TINYINT": "int",
    "UINTEGER": "long",
    "DOUBLE": "real",
    "FLOAT": "real",
    "BOOLEAN": "bool",
    "VARCHAR": "string",
    "UUID": "guid",
    "DATE": "datetime",
    "INTERVAL": "timespan",
}
_TOO_LARGE = "The results of this query exceed the set limit of {}, so not all records were returned {}"
_CODE = "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)."
_ERRORS = (  # a pattern of our engine's message, and the code and message of the service
    (
        r"Table with name (\S+) does not exist",
        "SEM0100",
        "Failed to resolve table or column expression named '{}'",
    ),
    (
        r"schema error for '(\w+)' \(unknown table",
        "SEM0100",
        "Failed to resolve table or column expression named '{}'",
    ),
    (r'Referenced column "([^"]+)"', "SEM0100", "Failed to resolve scalar expression named '{}'"),
    (r"could not parse KQL at (\S+):", "SYN0002", "Query could not be parsed at [line:position={}]"),
)
_UNSUPPORTED = "unsupported KQL construct"


class ResponseLimits(NamedTuple):
    """The limits of one response."""

    rows: int = ROWS_MAX
    bytes: int = BYTES_MAX


def build_response(
    names: Sequence[str],
    types: Sequence[str],
    rows: Sequence[Sequence[Any]],
    limits: ResponseLimits,
    reached: str = "",
) -> dict[str, Any]:
    """Return the rows in the format of the service, up to the limits. An error in it names the limit that was exceeded.

    `reached` is a limit that has cut the rows already.
    """
    kinds = [_kusto_type(duckdb) for duckdb in types]
    cells = [[_json_value(value, kind) for value, kind in zip(row, kinds)] for row in rows[: limits.rows]]
    over = f"{limits.rows} records" if len(rows) > limits.rows else reached
    total = 0
    for index, row in enumerate(cells):
        total += len(orjson.dumps(row))
        if total > limits.bytes:
            cells, over = cells[:index], f"{limits.bytes} bytes"
            break
    columns = [{"name": name, "type": kind} for name, kind in zip(names, kinds)]
    response: dict[str, Any] = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": cells}]}
    return with_error(response, _TOO_LARGE.format(over, _CODE), "-2133196797") if over else response


def with_error(response: dict[str, Any], message: str, code: str) -> dict[str, Any]:
    """Return a response with an error, which marks it as partial."""
    inner = {"code": code, "message": message, "severity": 2, "severityName": "Error"}
    engine = {
        "code": "EngineError",
        "message": "Something went wrong processing your query on the server.",
        "innererror": inner,
    }
    summary = "There were some errors when processing your query."
    return {**response, "error": {"code": "PartialError", "message": summary, "details": [engine]}}


def error_response(reason: str) -> tuple[int, dict[str, Any]]:
    """Return the status and body for an error of our engine: 501 for unsupported KQL, otherwise 400."""
    if _UNSUPPORTED in reason:
        return 501, {"error": {"code": "NotImplemented", "message": f"Not in the local Azure: {reason}"}}
    for pattern, code, message in _ERRORS:
        match = re.search(pattern, reason)
        if match:
            return 400, bad_argument(code, message.format(match[1]))
    return 400, bad_argument("SEM0000", reason)


def bad_argument(code: str, message: str) -> dict[str, Any]:
    """Return the body of a 400 response in the format of the service."""
    is_syntax = code.startswith("SYN")
    kind = "SyntaxError" if is_syntax else "SemanticError"
    inner = {
        "code": kind,
        "message": f"A {'syntax' if is_syntax else 'semantic'} error occurred.",
        "innererror": {"code": code, "message": message},
    }
    outer = "The request had some invalid properties"
    return {"error": {"message": outer, "code": "BadArgumentError", "innererror": inner}}


def _kusto_type(duckdb: str) -> str:
    if duckdb.startswith("TIMESTAMP"):
        return "datetime"
    return "decimal" if duckdb.startswith("DECIMAL") else _TYPES.get(duckdb, "dynamic")


def _json_value(value: Any, kind: str) -> Any:
    """Return a value as in the JSON of the service. Strings are never null, and NaN and infinities are strings."""
    if value is None:
        return "" if kind == "string" else None
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc) if value.tzinfo else value
        # Kusto's ticks have seven digits.
        return utc.replace(tzinfo=None).isoformat() + ("0Z" if utc.microsecond else "Z")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, timedelta):
        return _timespan(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if kind == "dynamic" and not isinstance(value, str):
        return orjson.dumps(value, default=str).decode()
    return value if kind in ("long", "int", "real", "bool") else str(value)


def _timespan(value: timedelta) -> str:
    sign, absolute = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(absolute.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{absolute.days}." if absolute.days else ""
    ticks = f".{absolute.microseconds:06d}0" if absolute.microseconds else ""
    return f"{sign}{days}{hours:02d}:{minutes:02d}:{seconds:02d}{ticks}"
