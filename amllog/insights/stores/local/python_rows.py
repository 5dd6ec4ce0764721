"""Convert one envelope to a row of columns in Python.

The columns have the same values as those of the KQL and SQL expressions in `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from amllog.insights.query import cell_types
from amllog.insights.query.columns import (
    DEPENDENCY,
    DIMENSION_COLUMNS,
    EVENT,
    EXCEPTION,
    METRIC,
    REQUEST,
    TRACE,
)
from amllog.insights.query.tables import TABLES
from amllog.record.line_format import LEVEL_NAMES

_TABLES = {table.base_type: table for table in TABLES.values()}
_NAMES = {
    name: number for number, name in enumerate(("verbose", "information", *map(str.lower, LEVEL_NAMES[2:])))
}
# OpenCensus writes the parent as `|<trace id>.<span id>.`.
_OPENCENSUS_PARENT = re.compile(r"\|[0-9a-f]{32}\.([0-9a-f]{16})\.")
_DURATION = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")


class PythonRecord(NamedTuple):
    """One record. `severity`: None if the envelope has none. `values`: by column.

    `searched`: the strings that the condition `contains` reads.
    """

    table: str
    time: datetime
    severity: int | None
    values: dict[str, Any]
    dimensions: dict[str, str]
    searched: tuple[str, ...]


def to_record(envelope: Mapping[str, Any] | None) -> PythonRecord | None:
    """Return the row of an envelope from any SDK, or None if it is not a record."""
    try:
        data, tags = (envelope or {})["data"], (envelope or {}).get("tags") or {}
        base, table = data["baseData"], _TABLES[data["baseType"]]
        timestamp = (envelope or {})["time"]
        time = cell_types.to_time(timestamp) if cell_types.EARLIEST <= timestamp < cell_types.END else None
        if time is None or not isinstance(base, Mapping):
            return None
        return _record(table.classic, table.item_type, time, base, tags)
    except (KeyError, TypeError, AttributeError):
        return None


def _record(
    table: str, item_type: str, time: datetime, base: Mapping[str, Any], tags: Mapping[str, Any]
) -> PythonRecord:
    dimensions = cell_types.to_dimensions(base.get("properties"))
    severity = _severity(base.get("severityLevel"))
    exception = _first(base.get("exceptions")) if table == EXCEPTION else {}
    failed = table in (REQUEST, DEPENDENCY) and str(base.get("success")).lower() == "false"
    is_bad = table == EXCEPTION or failed
    name = "" if table in (TRACE, EXCEPTION) else _name(table, base)
    parent = cell_types.to_text(tags.get("ai.operation.parentId"))
    parent_match = _OPENCENSUS_PARENT.fullmatch(parent)
    outer = cell_types.to_text(exception.get("message"))
    message = {
        TRACE: cell_types.to_text(base.get("message")),
        EXCEPTION: dimensions.get("message") or outer,
    }.get(table, name)
    data = dimensions.get("run_metric_data", "")
    duration = _seconds(base.get("duration")) if table in (REQUEST, DEPENDENCY) else None
    is_error = (
        table == EXCEPTION or (table == TRACE and (severity or 0) >= 3) or (table == REQUEST and failed)
    )
    values: dict[str, Any] = {
        "timestamp": time, "itemType": item_type, "message": message, "name": name,
        "type": cell_types.to_text({EXCEPTION: exception.get("typeName"), DEPENDENCY: base.get("type")}.get(table)),
        "problemId": _problem(base, exception) if table == EXCEPTION else "",
        "outerMessage": outer, "stack": exception.get("stack") or exception.get("parsedStack") or "",
        "value": _number(table, base, dimensions), "step": cell_types.to_integer(dimensions.get("step")),
        "duration_seconds": duration, "step_seconds": duration if table == REQUEST else None,
        "success": not failed if table in (REQUEST, DEPENDENCY) else None,
        "resultCode": cell_types.to_text(base.get({REQUEST: "responseCode", DEPENDENCY: "resultCode"}.get(table, ""))),
        "id": cell_types.to_text(base.get("id")) if table in (REQUEST, DEPENDENCY) else "",
        "operation_Id": cell_types.to_text(tags.get("ai.operation.id")),
        "operation_ParentId": parent_match[1] if parent_match else parent,
        "dimensions": dimensions, "is_error": is_error, "is_warning": table == TRACE and severity == 2,
        "is_notable": table in (EXCEPTION, REQUEST, DEPENDENCY) or (table == TRACE and (severity or 0) >= 2)
        or (table == EVENT and not data),
        "is_metric": table == METRIC or (table == EVENT and bool(data and dimensions.get("value"))),
        "has_metrics": table == METRIC
        or (table == EVENT and bool(data and (dimensions.get("value") or data.startswith('{"columns":')))),
        "has_ended": table == REQUEST, "has_failed": table == REQUEST and failed, "is_bad": is_bad,
        "level": LEVEL_NAMES[severity] if severity is not None and severity >= 0 else "ERROR" if is_bad else "INFO",
        "top_run_id": dimensions.get("root_run_id") or dimensions.get("parent_run_id", ""),
        **{key: dimensions.get(key, "") for key in (*DIMENSION_COLUMNS, "run_url", "node", "rank")},
    }  # fmt: skip
    searched = _searched(message, outer, base) if table == EXCEPTION else (message,)
    return PythonRecord(table, time, severity, values, dimensions, searched)


def _searched(message: str, outer: str, base: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the strings of an exception that `contains` reads."""
    exceptions = base.get("exceptions")
    first, last = _first(exceptions), _last(exceptions)
    values = (last.get("message"), first.get("typeName"), first.get("stack"))
    return (message, outer, *(cell_types.to_text(value) for value in values))


def _severity(value: Any) -> int | None:
    name = cell_types.to_text(value).lower()
    number = _NAMES.get(name, cell_types.to_integer(value) if name not in ("true", "false") else None)
    return None if number is None else min(4, number)


def _name(table: str, base: Mapping[str, Any]) -> str:
    return cell_types.to_text((_first(base.get("metrics")) if table == METRIC else base).get("name"))


def _number(table: str, base: Mapping[str, Any], dimensions: Mapping[str, str]) -> float | None:
    if table == METRIC:
        return cell_types.to_real(_first(base.get("metrics")).get("value"))
    return cell_types.to_real(dimensions.get("value") or None) if table == EVENT else None


def _problem(base: Mapping[str, Any], exception: Mapping[str, Any]) -> str:
    if base.get("problemId"):
        return cell_types.to_text(base["problemId"])
    frames = exception.get("parsedStack")
    method = _first(frames).get("method") if frames else ""
    return " at ".join(str(part) for part in (exception.get("typeName"), method) if part)


def _first(items: Any) -> Mapping[str, Any]:
    item: Any = items[0] if isinstance(items, list) and items else {}
    return item if isinstance(item, Mapping) else {}


def _last(items: Any) -> Mapping[str, Any]:
    return _first(items[-1:]) if isinstance(items, list) else {}


def _seconds(duration: Any) -> float | None:
    match = _DURATION.fullmatch(cell_types.to_text(duration))
    if match is None:
        return None if duration is None else 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
