"""Convert exported rows of a workspace's tables to envelopes: diagnostic settings, data export and Event Hubs.

A row has the columns of a table, the name of the table in `Type`, and its time in `time` (diagnostic settings) or
`TimeGenerated` (data export). Sources are resource-logs.md and logs-data-export.md in Microsoft's azure-monitor-docs,
and the reference of the tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# In the bytes of rows: a table of Application Insights, or another category of diagnostic settings.
FORM = re.compile(rb'"(?:Type|category)"\s*:\s*"App[A-Z]|"resourceId"\s*:\s*"[^"\n]*".*"category"\s*:|'
                  rb'"category"\s*:\s*"[^"\n]*".*"resourceId"\s*:')  # fmt: skip
TABLES = {
    "AppTraces": "MessageData", "AppExceptions": "ExceptionData", "AppEvents": "EventData", "AppMetrics": "MetricData",
    "AppRequests": "RequestData", "AppDependencies": "RemoteDependencyData", "AppPageViews": "PageViewData",
    "AppAvailabilityResults": "AvailabilityData",
}  # fmt: skip
_TIMES = ("time", "TimeGenerated")
_MEMBERS = {  # columns, and the members of baseData. The others are tags, are converted below, or have no member.
    "Message": "message", "SeverityLevel": "severityLevel", "ProblemId": "problemId", "Name": "name", "Id": "id",
    "Url": "url", "Source": "source", "Target": "target", "Data": "data", "DependencyType": "type",
    "Success": "success", "ResultCode": "resultCode", "Location": "runLocation",
}  # fmt: skip
_TAGS = {
    "OperationName": "operation.name", "OperationId": "operation.id", "ParentId": "operation.parentId",
    "SyntheticSource": "operation.syntheticSource", "SessionId": "session.id", "UserId": "user.id",
    "UserAuthenticatedId": "user.authUserId", "UserAccountId": "user.accountId", "AppVersion": "application.ver",
    "ClientType": "device.type", "ClientModel": "device.model", "ClientOS": "device.osVersion",
    "ClientBrowser": "device.browser", "ClientCity": "location.city", "ClientStateOrProvince": "location.province",
    "ClientCountryOrRegion": "location.country", "AppRoleName": "cloud.role", "AppRoleInstance": "cloud.roleInstance",
    "SDKVersion": "internal.sdkVersion",
}  # fmt: skip


def is_row(value: Mapping[str, Any]) -> bool:
    """Return whether a value is a row of a table, or of another category of diagnostic settings."""
    is_table = table_of(value).startswith("App") or ("resourceId" in value and "category" in value)
    return is_table and any(isinstance(value.get(name), str) for name in _TIMES)


def table_of(row: Mapping[str, Any]) -> str:
    """Return the name of the table or the category of a row, or ""."""
    table = row.get("Type") or row.get("category")
    return table if isinstance(table, str) else ""


def to_envelope(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the envelope of a row. None for a table that no question reads."""
    kind = TABLES.get(table_of(row))
    if kind is None:
        return None
    base = {
        "ver": 2,
        **{member: row[column] for column, member in _MEMBERS.items() if row.get(column) is not None},
    }
    for column, member in (("Properties", "properties"), ("Measurements", "measurements")):
        value = _parsed(row.get(column))
        base[member] = dict(value) if isinstance(value, Mapping) else {}
    if kind == "ExceptionData":
        base["exceptions"] = _exceptions(row)
    elif kind == "MetricData":
        names = {"value": "Sum", "count": "ItemCount", "min": "Min", "max": "Max"}
        base["metrics"] = [{"name": row.get("Name"), **{key: row.get(name) for key, name in names.items()}}]
    elif kind not in ("MessageData", "EventData"):
        base["duration"], base["responseCode"] = to_duration(row.get("DurationMs")), row.get("ResultCode")
    count = row.get("ItemCount")
    sampled = {"sampleRate": 100 / count} if type(count) is int and count > 1 and kind != "MetricData" else {}
    tags = {
        f"ai.{tag}": str(row[column]) for column, tag in _TAGS.items() if row.get(column) not in (None, "")
    }
    data = {"baseType": kind, "baseData": base}
    time = next(row[name] for name in _TIMES if isinstance(row.get(name), str))
    return {"time": time, "iKey": str(row.get("IKey") or ""), "tags": tags, **sampled, "data": data}


def to_duration(milliseconds: Any) -> str | None:
    """Return milliseconds in the form of an envelope, `D.HH:MM:SS.ffffff`. None if they are not a number."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)):
        return None
    if not 0 <= milliseconds < 1e14:  # NaN too
        return None
    seconds, micros = divmod(round(milliseconds * 1000), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}.{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"


def _parsed(value: Any) -> Any:
    """Return the value of a dynamic column, which the data export writes as a JSON string."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value


def _exceptions(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    details = _parsed(row.get("Details"))
    if isinstance(details, list) and details and all(isinstance(detail, Mapping) for detail in details):
        names = {"typeName": "type", "stack": "rawStack"}
        return [
            {**detail, **{name: detail.get(name) or detail.get(column) for name, column in names.items()}}
            for detail in details
        ]
    parts = ["Outer"]
    if row.get("InnermostMessage") and row.get("InnermostMessage") != row.get("OuterMessage"):
        parts.append("Innermost")
    return [
        {
            "typeName": row.get(f"{part}Type") or row.get("ExceptionType"),
            "message": row.get(f"{part}Message"),
            "parsedStack": _frame(row.get(f"{part}Method"), row.get(f"{part}Assembly")),
        }
        for part in parts
    ]


def _frame(method: Any, assembly: Any) -> list[dict[str, Any]]:
    return [{"level": 0, "method": method, "assembly": assembly}] if method else []
