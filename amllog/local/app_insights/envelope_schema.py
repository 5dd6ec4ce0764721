"""The schema of an envelope as data: the members, their kinds and maximum lengths.

The limits are those of the Bond schemas and the limits page of Application Insights. `amllog.record.envelope` has them
too. They are repeated here on purpose, so that the local Azure judges independently of the writing side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

PROPERTY_KEY_MAX = 150
PROPERTY_VALUE_MAX = 8192

_DURATION = re.compile(r"(\d{1,3}\.)?\d\d:\d\d:\d\d(\.\d{1,7})?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class FieldRule(NamedTuple):
    """One member of a type: its kind (a name in `KINDS`), whether it is required, and its maximum length."""

    name: str
    kind: str = "text"
    required: bool = False
    limit: int = 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


KINDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "severity": lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 4,
    "duration": lambda value: isinstance(value, str) and _DURATION.fullmatch(value) is not None,
    "guid": lambda value: isinstance(value, str) and _GUID.fullmatch(value) is not None,
}

ENVELOPE = (
    FieldRule("name", required=True, limit=1024),
    FieldRule("time", required=True, limit=64),
    FieldRule("iKey", "guid", required=True, limit=40),
    FieldRule("sampleRate", "number"),
    FieldRule("tags", "object"),
    FieldRule("data", "object", required=True),
)
TAGS = {
    "ai.operation.id": 128,
    "ai.operation.parentId": 512,
    "ai.operation.name": 1024,
    "ai.operation.syntheticSource": 1024,
    "ai.cloud.role": 256,
    "ai.cloud.roleInstance": 256,
    "ai.internal.sdkVersion": 64,
    "ai.internal.nodeName": 256,
    "ai.session.id": 64,
    "ai.user.id": 128,
    "ai.user.accountId": 1024,
    "ai.user.authUserId": 1024,
    "ai.application.ver": 1024,
    "ai.device.id": 1024,
    "ai.device.locale": 64,
    "ai.device.osVersion": 256,
    "ai.device.type": 64,
    "ai.location.ip": 46,
}
EXCEPTION_DETAILS = (
    FieldRule("typeName", required=True, limit=1024),
    FieldRule("message", required=True, limit=32768),
    FieldRule("hasFullStack", "bool"),
    FieldRule("stack", limit=32768),
    FieldRule("parsedStack", "list"),
)
STACK_FRAME = (
    FieldRule("level", "integer", required=True),
    FieldRule("method", required=True, limit=1024),
    FieldRule("assembly", limit=1024),
    FieldRule("fileName", limit=1024),
    FieldRule("line", "integer"),
)
DATA_POINT = (
    FieldRule("name", required=True, limit=1024),
    FieldRule("value", "number", required=True),
    FieldRule("ns", limit=256),
    FieldRule("count", "integer"),
    FieldRule("min", "number"),
    FieldRule("max", "number"),
    FieldRule("stdDev", "number"),
)
_VER = FieldRule("ver", "integer", required=True)
BASE_TYPES: Mapping[str, tuple[FieldRule, ...]] = {
    "MessageData": (
        _VER,
        FieldRule("message", required=True, limit=32768),
        FieldRule("severityLevel", "severity"),
    ),
    "ExceptionData": (
        _VER,
        FieldRule("exceptions", "list", required=True),
        FieldRule("severityLevel", "severity"),
        FieldRule("problemId", limit=1024),
    ),
    "EventData": (_VER, FieldRule("name", required=True, limit=512)),
    "MetricData": (_VER, FieldRule("metrics", "list", required=True)),
    "RequestData": (
        _VER,
        FieldRule("id", required=True, limit=512),
        FieldRule("duration", "duration", required=True),
        FieldRule("responseCode", required=True, limit=1024),
        FieldRule("success", "bool", required=True),
        FieldRule("name", limit=1024),
        FieldRule("url", limit=2048),
        FieldRule("source", limit=1024),
    ),
    "RemoteDependencyData": (
        _VER,
        FieldRule("name", required=True, limit=1024),
        FieldRule("duration", "duration", required=True),
        FieldRule("id", limit=512),
        FieldRule("resultCode", limit=1024),
        FieldRule("success", "bool"),
        FieldRule("data", limit=8192),
        FieldRule("type", limit=1024),
        FieldRule("target", limit=1024),
    ),
    # Of browsers and availability tests. The required members are those of the OpenTelemetry exporter's models.
    "PageViewData": (
        _VER,
        FieldRule("name", required=True, limit=1024),
        FieldRule("id", limit=512),
        FieldRule("duration", "duration"),
        FieldRule("url", limit=2048),
        FieldRule("referredUri", limit=2048),
    ),
    "AvailabilityData": (
        _VER,
        FieldRule("id", required=True, limit=512),
        FieldRule("name", required=True, limit=1024),
        FieldRule("duration", "duration", required=True),
        FieldRule("success", "bool", required=True),
        FieldRule("runLocation", limit=1024),
        FieldRule("message", limit=8192),
    ),
}
