"""What an envelope is to the ingestion service: members, kinds and greatest lengths, as data.

In: nothing. Out: the tables that `envelopes` judges by.

The limits are the service's own (Bond schemas and the limits page of Application Insights), written down
here a second time on purpose: the far side judges independently of the side that writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

PROPERTY_KEY_MAX = 150
PROPERTY_VALUE_MAX = 8192

_DURATION = re.compile(r"(\d{1,3}\.)?\d\d:\d\d:\d\d(\.\d{1,7})?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Field(NamedTuple):
    """One member of a type: its kind (a name in `KINDS`), whether it must be there, its greatest length."""

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
    Field("name", required=True, limit=1024),
    Field("time", required=True, limit=64),
    Field("iKey", "guid", required=True, limit=40),
    Field("sampleRate", "number"),
    Field("tags", "object"),
    Field("data", "object", required=True),
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
    Field("typeName", required=True, limit=1024),
    Field("message", required=True, limit=32768),
    Field("hasFullStack", "bool"),
    Field("stack", limit=32768),
    Field("parsedStack", "list"),
)
STACK_FRAME = (
    Field("level", "integer", required=True),
    Field("method", required=True, limit=1024),
    Field("assembly", limit=1024),
    Field("fileName", limit=1024),
    Field("line", "integer"),
)
DATA_POINT = (
    Field("name", required=True, limit=1024),
    Field("value", "number", required=True),
    Field("ns", limit=256),
    Field("count", "integer"),
    Field("min", "number"),
    Field("max", "number"),
    Field("stdDev", "number"),
)
_VER = Field("ver", "integer", required=True)
BASE_TYPES: Mapping[str, tuple[Field, ...]] = {
    "MessageData": (_VER, Field("message", required=True, limit=32768), Field("severityLevel", "severity")),
    "ExceptionData": (
        _VER,
        Field("exceptions", "list", required=True),
        Field("severityLevel", "severity"),
        Field("problemId", limit=1024),
    ),
    "EventData": (_VER, Field("name", required=True, limit=512)),
    "MetricData": (_VER, Field("metrics", "list", required=True)),
    "RequestData": (
        _VER,
        Field("id", required=True, limit=512),
        Field("duration", "duration", required=True),
        Field("responseCode", required=True, limit=1024),
        Field("success", "bool", required=True),
        Field("name", limit=1024),
        Field("url", limit=2048),
        Field("source", limit=1024),
    ),
    "RemoteDependencyData": (
        _VER,
        Field("name", required=True, limit=1024),
        Field("duration", "duration", required=True),
        Field("id", limit=512),
        Field("resultCode", limit=1024),
        Field("success", "bool"),
        Field("data", limit=8192),
        Field("type", limit=1024),
        Field("target", limit=1024),
    ),
    # Of browsers and availability tests: their requiredness as in the OpenTelemetry exporter's generated models.
    "PageViewData": (
        _VER,
        Field("name", required=True, limit=1024),
        Field("id", limit=512),
        Field("duration", "duration"),
        Field("url", limit=2048),
        Field("referredUri", limit=2048),
    ),
    "AvailabilityData": (
        _VER,
        Field("id", required=True, limit=512),
        Field("name", required=True, limit=1024),
        Field("duration", "duration", required=True),
        Field("success", "bool", required=True),
        Field("runLocation", limit=1024),
        Field("message", limit=8192),
    ),
}
