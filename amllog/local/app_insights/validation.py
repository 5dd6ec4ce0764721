"""What the ingestion service says to one envelope: pure functions, no I/O; the tables are in `schema`.

In: an envelope (any JSON value), the size of its line, the present time.
Out: `None` (accepted) or an `ItemError` with the service's status code and message.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from amllog.local.app_insights.envelope_schema import (
    BASE_TYPES,
    DATA_POINT,
    ENVELOPE,
    EXCEPTION_DETAILS,
    KINDS,
    PROPERTY_KEY_MAX,
    PROPERTY_VALUE_MAX,
    STACK_FRAME,
    TAGS,
    FieldRule,
)

ITEM_MAX_BYTES = 64 * 1024
OLDEST = timedelta(hours=48)
NEWEST = timedelta(hours=2)

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


class ItemError(NamedTuple):
    """Why one item was refused."""

    status: int
    message: str


def validate_envelope(envelope: object, size_bytes: int, now: datetime) -> ItemError | None:
    """Everything that the service checks on one item; the first thing that is wrong, or None."""
    try:
        if size_bytes > ITEM_MAX_BYTES:
            _refuse(f"Telemetry item is too large. Expected: {ITEM_MAX_BYTES} bytes, Actual: {size_bytes}")
        item = _fields(envelope, "Envelope", ENVELOPE)
        _in_window(item["time"], now)
        for name, value in item.get("tags", {}).items():
            _one(value, "Envelope.tags", FieldRule(name, limit=TAGS.get(name, PROPERTY_VALUE_MAX)))
        _base_data(item["data"])
    except _Refused as refused:
        return refused.error
    return None


def parse_time(text: str) -> datetime | None:
    """An ISO-8601 instant as aware UTC (no zone: taken as UTC, as the service does), or None."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    seconds, fraction, zone = found.groups()
    try:
        offset = "+00:00" if zone in (None, "Z") else zone
        instant = datetime.fromisoformat(f"{seconds}.{(fraction or '0')[:6]:0<6}{offset}")
        return instant.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


class _Refused(Exception):
    def __init__(self, message: str) -> None:
        self.error = ItemError(400, message)


def _refuse(message: str) -> None:
    raise _Refused(message)


def _fields(value: object, kind: str, fields: tuple[FieldRule, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Refused(f"100: '{kind}' is not an object")
    for field in fields:
        _one(value.get(field.name), kind, field)
    return value


def _one(value: object, kind: str, field: FieldRule) -> None:
    where = f"Field '{field.name}' on type '{kind}'"
    if value is None or (field.required and value in ("", [])):
        if field.required:
            _refuse(
                f"109: {where} is required but missing or empty. Expected: {field.kind}, Actual: undefined"
            )
        return
    if not KINDS[field.kind](value):
        _refuse(f"100: {where} is not of the expected type. Expected: {field.kind}, Actual: {_shown(value)}")
    if field.limit and isinstance(value, str) and len(value) > field.limit:
        _refuse(f"101: {where} is too long. Expected: {field.limit} characters, Actual: {len(value)}")


def _shown(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:50]}"


def _in_window(text: str, now: datetime) -> None:
    time = parse_time(text)
    where = "Field 'time' on type 'Envelope'"
    if time is None:
        raise _Refused(f"100: {where} is not of the expected type. Expected: ISO-8601, Actual: {text}")
    if time < now - OLDEST:
        _refuse(
            f"103: {where} is older than the allowed min date. "
            f"Expected: now - {OLDEST // timedelta(milliseconds=1)}ms, Actual: {_age(time, now)}"
        )
    if time > now + NEWEST:
        _refuse(
            f"104: {where} is newer than the allowed max date. "
            f"Expected: now + {NEWEST // timedelta(milliseconds=1)}ms, Actual: {_age(time, now)}"
        )


def _age(time: datetime, now: datetime) -> str:
    milliseconds = (time - now) // timedelta(milliseconds=1)
    return f"now {'-' if milliseconds < 0 else '+'} {abs(milliseconds)}ms"


def _base_data(data: dict[str, Any]) -> None:
    base_type = data.get("baseType")
    if not isinstance(base_type, str) or base_type not in BASE_TYPES:
        raise _Refused(f"100: Field 'baseType' on type 'Data' is unknown. Actual: {_shown(base_type)}")
    body = _fields(data.get("baseData"), base_type, BASE_TYPES[base_type])
    for exception in body.get("exceptions", ()) if base_type == "ExceptionData" else ():
        details = _fields(exception, "ExceptionDetails", EXCEPTION_DETAILS)
        for frame in details.get("parsedStack") or ():
            _fields(frame, "StackFrame", STACK_FRAME)
    for point in body.get("metrics", ()) if base_type == "MetricData" else ():
        _fields(point, "DataPoint", DATA_POINT)
    _one(body.get("properties"), base_type, FieldRule("properties", "object"))
    _one(body.get("measurements"), base_type, FieldRule("measurements", "object"))
    _properties(body.get("properties") or {}, base_type)
    _measurements(body.get("measurements") or {}, base_type)


def _properties(properties: dict[str, Any], base_type: str) -> None:
    for key, value in properties.items():
        _key(key, f"{base_type}.properties")
        if isinstance(value, (bool, int, float)):  # the stock handler's lineNumber: the service makes it text
            continue
        _one(value, f"{base_type}.properties", FieldRule(key, limit=PROPERTY_VALUE_MAX))
        if value is None:
            _refuse(f"100: Field '{key}' on type '{base_type}.properties' is null. Expected: text")


def _measurements(measurements: dict[str, Any], base_type: str) -> None:
    for key, value in measurements.items():
        _key(key, f"{base_type}.measurements")
        _one(value, f"{base_type}.measurements", FieldRule(key, "number", required=True))


def _key(key: str, kind: str) -> None:
    if not 0 < len(key) <= PROPERTY_KEY_MAX:
        _refuse(f"101: Key '{key[:50]}' on type '{kind}' is empty or longer than {PROPERTY_KEY_MAX}")
