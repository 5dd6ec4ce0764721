"""Build query responses and errors in the format of `POST /v1/…/query`. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import orjson

ROWS_MAX, BYTES_MAX = 500_000, 64_000_000
_TOO_LARGE = "The results of this query exceed the set limit of {}, so not all records were returned {}"
_CODE = "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)."


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

    The types are those of the service, and a timespan is a number of ticks. `reached` is a limit that has cut the rows.
    """
    cells = [[_json_value(value, kind) for value, kind in zip(row, types)] for row in rows[: limits.rows]]
    over = f"{limits.rows} records" if len(rows) > limits.rows else reached
    total = 0
    for index, row in enumerate(cells):
        total += len(orjson.dumps(row))
        if total > limits.bytes:
            cells, over = cells[:index], f"{limits.bytes} bytes"
            break
    columns = [{"name": name, "type": kind} for name, kind in zip(names, types)]
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


def error_response(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status and body for an error of our engine: 501 for unsupported KQL, otherwise 400."""
    from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql  # slow to import

    cause = error.__cause__
    if isinstance(cause, UnsupportedKql):
        return 501, {"error": {"code": "NotImplemented", "message": f"Not in the local Azure: {error}"}}
    if isinstance(cause, InvalidKql):
        return 400, bad_argument(cause.code, cause.service or str(cause))
    return 400, bad_argument("SEM0000", str(error))


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


def _json_value(value: Any, kind: str) -> Any:
    """Return a value as in the JSON of the service. Strings are never null, and NaN and infinities are strings."""
    from amllog.insights.query import cell_types  # slow to import, and only a query needs it

    if value is None:
        return "" if kind == "string" else None
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc) if value.tzinfo else value
        # Kusto's ticks have seven digits.
        return utc.replace(tzinfo=None).isoformat() + ("0Z" if utc.microsecond else "Z")
    if kind == "timespan":
        return cell_types.timespan_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return cell_types.float_name(value)
    if isinstance(value, (dict, list)):
        return orjson.dumps(value, default=str).decode()
    return value if kind in ("long", "int", "real", "bool", "dynamic") else str(value)
