"""Validate one envelope as the ingestion service does. No I/O. The schema is in `envelope_schema`."""

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
    """The error of a rejected item: the status and the message of the service."""

    status: int
    message: str


def validate_envelope(envelope: object, size_bytes: int, now: datetime) -> ItemError | None:
    """Return the first error of an envelope, or None if the service accepts it.

    `envelope` is any JSON value, `size_bytes` the size of its line, and `now` the current time.
    """
    try:
        if size_bytes > ITEM_MAX_BYTES:
            _reject(f"Telemetry item is too large. Expected: {ITEM_MAX_BYTES} bytes, Actual: {size_bytes}")
        item = _check_fields(envelope, "Envelope", ENVELOPE)
        _check_time(item["time"], now)
        for name, value in item.get("tags", {}).items():
            _check_field(value, "Envelope.tags", FieldRule(name, limit=TAGS.get(name, PROPERTY_VALUE_MAX)))
        _check_data(item["data"])
    except _Invalid as invalid:
        return invalid.error
    return None


def parse_time(text: str) -> datetime | None:
    """Parse an ISO 8601 time to UTC, or return None. A time without an offset is UTC, as in the service."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    seconds, fraction, zone = match.groups()
    try:
        offset = "+00:00" if zone in (None, "Z") else zone
        instant = datetime.fromisoformat(f"{seconds}.{(fraction or '0')[:6]:0<6}{offset}")
        return instant.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


class _Invalid(Exception):
    def __init__(self, message: str) -> None:
        self.error = ItemError(400, message)


def _reject(message: str) -> None:
    raise _Invalid(message)


def _check_fields(value: object, kind: str, fields: tuple[FieldRule, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Invalid(f"100: '{kind}' is not an object")
    for field in fields:
        _check_field(value.get(field.name), kind, field)
    return value


def _check_field(value: object, kind: str, field: FieldRule) -> None:
    where = f"Field '{field.name}' on type '{kind}'"
    if value is None or (field.required and value in ("", [])):
        if field.required:
            _reject(
                f"109: {where} is required but missing or empty. Expected: {field.kind}, Actual: undefined"
            )
        return
    if not KINDS[field.kind](value):
        _reject(
            f"100: {where} is not of the expected type. Expected: {field.kind}, Actual: {_type_and_value(value)}"
        )
    if field.limit and isinstance(value, str) and len(value) > field.limit:
        _reject(f"101: {where} is too long. Expected: {field.limit} characters, Actual: {len(value)}")


def _type_and_value(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:50]}"


def _check_time(text: str, now: datetime) -> None:
    time = parse_time(text)
    where = "Field 'time' on type 'Envelope'"
    if time is None:
        raise _Invalid(f"100: {where} is not of the expected type. Expected: ISO-8601, Actual: {text}")
    if time < now - OLDEST:
        _reject(
            f"103: {where} is older than the allowed min date. "
            f"Expected: now - {OLDEST // timedelta(milliseconds=1)}ms, Actual: {_format_offset(time, now)}"
        )
    if time > now + NEWEST:
        _reject(
            f"104: {where} is newer than the allowed max date. "
            f"Expected: now + {NEWEST // timedelta(milliseconds=1)}ms, Actual: {_format_offset(time, now)}"
        )


def _format_offset(time: datetime, now: datetime) -> str:
    milliseconds = (time - now) // timedelta(milliseconds=1)
    return f"now {'-' if milliseconds < 0 else '+'} {abs(milliseconds)}ms"


def _check_data(data: dict[str, Any]) -> None:
    base_type = data.get("baseType")
    if not isinstance(base_type, str) or base_type not in BASE_TYPES:
        raise _Invalid(
            f"100: Field 'baseType' on type 'Data' is unknown. Actual: {_type_and_value(base_type)}"
        )
    body = _check_fields(data.get("baseData"), base_type, BASE_TYPES[base_type])
    for exception in body.get("exceptions", ()) if base_type == "ExceptionData" else ():
        details = _check_fields(exception, "ExceptionDetails", EXCEPTION_DETAILS)
        for frame in details.get("parsedStack") or ():
            _check_fields(frame, "StackFrame", STACK_FRAME)
    for point in body.get("metrics", ()) if base_type == "MetricData" else ():
        _check_fields(point, "DataPoint", DATA_POINT)
    _check_field(body.get("properties"), base_type, FieldRule("properties", "object"))
    _check_field(body.get("measurements"), base_type, FieldRule("measurements", "object"))
    _properties(body.get("properties") or {}, base_type)
    _measurements(body.get("measurements") or {}, base_type)


def _properties(properties: dict[str, Any], base_type: str) -> None:
    for key, value in properties.items():
        _key(key, f"{base_type}.properties")
        # The service converts numbers to strings, such as the stock handler's lineNumber.
        if isinstance(value, (bool, int, float)):
            continue
        _check_field(value, f"{base_type}.properties", FieldRule(key, limit=PROPERTY_VALUE_MAX))
        if value is None:
            _reject(f"100: Field '{key}' on type '{base_type}.properties' is null. Expected: text")


def _measurements(measurements: dict[str, Any], base_type: str) -> None:
    for key, value in measurements.items():
        _key(key, f"{base_type}.measurements")
        _check_field(value, f"{base_type}.measurements", FieldRule(key, "number", required=True))


def _key(key: str, kind: str) -> None:
    if not 0 < len(key) <= PROPERTY_KEY_MAX:
        _reject(f"101: Key '{key[:50]}' on type '{kind}' is empty or longer than {PROPERTY_KEY_MAX}")
