"""Convert documents of continuous export to envelopes.

The sources are export-data-model.md and export-telemetry.md of Microsoft's azure-docs. A document has one list that is
named after its kind, `internal` and `context`. Durations are in ticks of 0.1 microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from amllog.insights.stores.local.formats.exported_rows import to_duration

FORM = re.compile(rb'"documentVersion"\s*:|^\s*\{\s*"(?:message|basicException|event|metric|request|remoteDependency|'
                  rb'view|availability)"\s*:\s*\[')  # fmt: skip
_TICKS_PER_MILLISECOND = 10_000
_TAGS = {
    ("operation", "id"): "operation.id", ("operation", "parentId"): "operation.parentId",
    ("operation", "name"): "operation.name", ("session", "id"): "session.id", ("user", "anonId"): "user.id",
    ("user", "authId"): "user.authUserId", ("user", "accountId"): "user.accountId", ("device", "type"): "device.type",
    ("device", "deviceModel"): "device.model", ("device", "osVersion"): "device.osVersion",
    ("device", "browser"): "device.browser", ("device", "roleName"): "cloud.role",
    ("device", "roleInstance"): "cloud.roleInstance", ("application", "version"): "application.ver",
    ("location", "city"): "location.city", ("location", "province"): "location.province",
    ("location", "country"): "location.country",
}  # fmt: skip
Item = Mapping[str, Any]


def is_document(value: Mapping[str, Any]) -> bool:
    """Return whether a value is a document of continuous export."""
    internal, context = value.get("internal"), value.get("context")
    return isinstance(internal, Mapping) and isinstance(_map(context).get("data"), Mapping)


def to_envelopes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the envelopes of a document, one for each item of its list. [] for kinds without records."""
    context = _map(document["context"])
    data, custom = _map(context["data"]), _map(context.get("custom"))
    numbers = _joined(custom.get("metrics"))
    is_metric = isinstance(document.get("metric"), list)
    own = {} if is_metric else {name: _point(point)["value"] for name, point in numbers.items()}
    shared = {"ver": 2, "properties": _joined(custom.get("dimensions")), "measurements": own}
    tags = {
        f"ai.{tag}": str(value)
        for (part, key), tag in _TAGS.items()
        if (value := _map(context.get(part)).get(key)) not in (None, "")
    }
    rate = data.get("samplingRate")
    head = {"time": data.get("eventTime"), "iKey": "", "tags": tags, **({"sampleRate": rate} if rate else {})}
    return [
        {**head, "data": {"baseType": kind, "baseData": {**shared, **base}}}
        for kind, base in _records(document, numbers)
    ]


def _records(document: Mapping[str, Any], numbers: Item) -> list[tuple[str, dict[str, Any]]]:
    """Return the base type and the own members of each record. The numbers of a metric are those of `custom`."""
    records: list[tuple[str, dict[str, Any]]] = []
    for member, (kind, convert) in _KINDS.items():
        items = document.get(member)
        if not isinstance(items, list):
            continue
        if member == "basicException":  # the items are the causes of one exception
            records.append((kind, _exception(list(map(_map, items)))))
        elif member == "metric":
            records += [
                (kind, {"metrics": [{"name": name, **_point(point)}]}) for name, point in numbers.items()
            ]
        else:
            records += [(kind, convert(_map(item))) for item in items]
    return records


def _map(value: Any) -> Item:
    return value if isinstance(value, Mapping) else {}


def _joined(items: Any) -> dict[str, Any]:
    """Return a list of objects with one member each as one mapping."""
    objects = map(_map, items) if isinstance(items, list) else ()
    return {key: value for item in objects for key, value in item.items()}


def _point(point: Any) -> dict[str, Any]:
    if not isinstance(point, Mapping):
        return {"value": point}
    names = ("count", "min", "max", "stdDev")
    return {"value": point.get("sum", point.get("value")), **{name: point.get(name) for name in names}}


def _exception(items: list[Item]) -> dict[str, Any]:
    first: Item = items[0] if items else {}
    return {
        "exceptions": [
            {
                **{name: item.get(name) for name in ("id", "outerId", "hasFullStack", "stack")},
                "typeName": item.get("typeName") or item.get("exceptionType"),
                "message": item.get("message") or item.get("outerExceptionMessage"),
                "parsedStack": item.get("parsedStack") or _frame(item.get("method"), item.get("assembly")),
            }
            for item in items
        ],
        "problemId": first.get("problemId") or first.get("exceptionGroup"),
        "severityLevel": first.get("severityLevel"),
    }


def _frame(method: Any, assembly: Any) -> list[dict[str, Any]]:
    return [{"level": 0, "method": method, "assembly": assembly}] if method else []


def _call(item: Item) -> dict[str, Any]:
    code, ticks = (
        item.get("responseCode", item.get("resultCode")),
        _map(item.get("durationMetric")).get("value"),
    )
    milliseconds = ticks / _TICKS_PER_MILLISECOND if isinstance(ticks, (int, float)) else None
    passed = None if item.get("result") is None else str(item["result"]).lower() == "pass"
    return {
        **{name: item.get(name) for name in ("id", "url", "message", "runLocation")},
        "name": item.get("name") or item.get("commandName") or item.get("testName"),
        "duration": to_duration(milliseconds),
        "success": item.get("success", passed),
        "responseCode": code,
        "resultCode": code,
        "type": item.get("dependencyTypeName") or item.get("type"),
        "data": item.get("commandName"),
        "target": _map(item.get("urlData")).get("host") or item.get("baseName"),
    }


_KINDS: dict[str, tuple[str, Callable[[Item], dict[str, Any]]]] = {
    "message": (
        "MessageData",
        lambda item: {"message": item.get("raw"), "severityLevel": item.get("severityLevel")},
    ),
    "basicException": ("ExceptionData", dict),
    "event": ("EventData", lambda item: {"name": item.get("name")}),
    "metric": ("MetricData", dict),
    "request": ("RequestData", _call),
    "remoteDependency": ("RemoteDependencyData", _call),
    "view": ("PageViewData", _call),
    "availability": ("AvailabilityData", _call),
}
