"""The validation of one item by the ingestion service."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from amllog.local.app_insights.validation import parse_time, validate_envelope

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
BASE = {
    "time": "2026-11-22T12:00:00.000000Z",
    "iKey": "00000000-0000-0000-0000-0000000010ca",
    "name": "Microsoft.ApplicationInsights.Message",
    "tags": {"ai.operation.id": "1"},
    "data": {"baseType": "MessageData", "baseData": {"ver": 2, "message": "hello", "severityLevel": 1}},
}
FRAME = {"level": 0, "method": "f", "line": 3}
BODIES: dict[str, dict[str, Any]] = {
    "MessageData": {"message": "hello"},
    "ExceptionData": {"exceptions": [{"typeName": "E", "message": "m", "parsedStack": [FRAME]}]},
    "EventData": {"name": "e"},
    "MetricData": {"metrics": [{"name": "m", "value": 1.5, "kind": 0}]},
    "RequestData": {"id": "1", "duration": "0.00:00:01.000", "responseCode": "0", "success": True},
    "RemoteDependencyData": {"name": "d", "duration": "00:00:01.000"},
    "PageViewData": {"name": "home"},
    "AvailabilityData": {"id": "1", "name": "a", "duration": "00:00:01.000", "success": True},
}
LONG = "x" * 40_000
REMOVE = object()


def envelope(**changes: Any) -> dict[str, Any]:
    """Return the base envelope with changes. `data.baseData.message` is written `data__baseData__message`."""
    item = copy.deepcopy(BASE)
    for path, value in changes.items():
        *parents, name = path.split("__")
        container: Any = item
        for parent in parents:
            container = container[parent]
        container.pop(name) if value is REMOVE else container.__setitem__(name, value)
    return item


def of_type(base_type: str, **changes: Any) -> dict[str, Any]:
    """Return an envelope of this type."""
    body = {"ver": 2, **BODIES[base_type], **changes}
    return envelope(data={"baseType": base_type, "baseData": body})


@pytest.mark.parametrize("base_type", BODIES)
def test_valid_items_are_accepted(base_type: str) -> None:
    """An item of each base type with its required members is accepted."""
    assert validate_envelope(of_type(base_type), 100, NOW) is None


@pytest.mark.parametrize("base_type", BODIES)
def test_required_members(base_type: str) -> None:
    """An item without a required member is rejected with the message of the service."""
    for name in BODIES[base_type]:
        error = validate_envelope(of_type(base_type, **{name: None}), 100, NOW)
        assert error is not None and error.status == 400
        assert f"109: Field '{name}' on type '{base_type}' is required but missing" in error.message


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([], "'Envelope' is not an object"),
        (None, "'Envelope' is not an object"),
        (envelope(name=REMOVE), "'name' on type 'Envelope' is required"),
        (envelope(time=REMOVE), "'time' on type 'Envelope' is required"),
        (envelope(time="yesterday"), "Expected: ISO-8601"),
        (envelope(time="2026-13-22T12:00:00Z"), "Expected: ISO-8601"),
        (envelope(iKey=REMOVE), "'iKey' on type 'Envelope' is required"),
        (envelope(iKey="my-key"), "Expected: guid"),
        (envelope(tags=[]), "Expected: object"),
        (envelope(tags={"ai.operation.id": "x" * 129}), "too long. Expected: 128 characters, Actual: 129"),
        (envelope(tags={"ai.operation.id": 5}), "Expected: text"),
        (envelope(data=REMOVE), "'data' on type 'Envelope' is required"),
        (envelope(data__baseType="LogData"), "'baseType' on type 'Data' is unknown"),
        (envelope(data__baseType=None), "'baseType' on type 'Data' is unknown"),
        (envelope(data__baseData=None), "'MessageData' is not an object"),
        (envelope(data__baseData__ver=REMOVE), "'ver' on type 'MessageData' is required"),
        (envelope(data__baseData__message=""), "missing or empty"),
        (envelope(data__baseData__message=LONG), "Expected: 32768 characters, Actual: 40000"),
        (envelope(data__baseData__message=5), "Expected: text, Actual: int 5"),
        (envelope(data__baseData__severityLevel=5), "Expected: severity, Actual: int 5"),
        (envelope(data__baseData__severityLevel=True), "Expected: severity"),
        (envelope(data__baseData__properties=[]), "Expected: object"),
        (envelope(data__baseData__properties={"": "x"}), "is empty or longer than 150"),
        (envelope(data__baseData__properties={"k" * 151: "x"}), "is empty or longer than 150"),
        (envelope(data__baseData__properties={"k": "v" * 8193}), "Expected: 8192 characters"),
        (envelope(data__baseData__properties={"k": {"a": 1}}), "Expected: text, Actual: dict"),
        (envelope(data__baseData__properties={"k": ["a"]}), "Expected: text, Actual: list"),
        (envelope(data__baseData__properties={"k": None}), "is null"),
        (envelope(data__baseData__measurements={"k": "5"}), "Expected: number"),
        (envelope(data__baseData__measurements={"k" * 151: 5}), "is empty or longer than 150"),
        (of_type("EventData", name="e" * 513), "Expected: 512 characters"),
        (of_type("MetricData", metrics=[]), "missing or empty"),
        (of_type("MetricData", metrics=[5]), "'DataPoint' is not an object"),
        (of_type("MetricData", metrics=[{"name": "m", "value": True}]), "Expected: number"),
        (of_type("MetricData", metrics=[{"value": 1}]), "'name' on type 'DataPoint' is required"),
        (of_type("ExceptionData", exceptions=[{"message": "m"}]), "'typeName' on type 'ExceptionDetails'"),
        (
            of_type("ExceptionData", exceptions=[{"typeName": "E", "message": "m", "parsedStack": ["f"]}]),
            "'StackFrame' is not an object",
        ),
        (of_type("RequestData", duration="1 s"), "Expected: duration"),
        (of_type("RequestData", success="true"), "Expected: bool"),
    ],
)
def test_invalid_items_are_rejected(item: object, message: str) -> None:
    """Each limit of the service is applied, and the message names the field, the type and the limit."""
    error = validate_envelope(item, 100, NOW)
    assert error is not None
    assert error.status == 400
    assert message in error.message


def test_numbers_in_properties_are_accepted() -> None:
    """`lineNumber` is a number in every record of the stock handler, and the service converts it to a string."""
    assert (
        validate_envelope(
            envelope(data__baseData__properties={"lineNumber": 5, "ok": True, "f": 0.5}), 100, NOW
        )
        is None
    )


def test_absent_and_null_are_the_same() -> None:
    """A member that is null counts as missing, because SDKs write unset members as null."""
    nulls = {"sampleRate": None, "tags": {}, "data__baseData__measurements": None}
    assert validate_envelope(envelope(**nulls, data__baseData__properties=None), 100, NOW) is None


def test_an_item_has_at_most_64_kib() -> None:
    """A line of more than 64 KiB is rejected."""
    assert validate_envelope(BASE, 65_536, NOW) is None
    error = validate_envelope(BASE, 65_537, NOW)
    assert error is not None and "too large" in error.message


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(hours=47, minutes=59), None),
        (timedelta(hours=48, seconds=1), "103"),
        (timedelta(hours=-1, minutes=-59), None),
        (timedelta(hours=-2, seconds=-1), "104"),
    ],
)
def test_the_allowed_range_of_time(age: timedelta, code: str | None) -> None:
    """Items are accepted from 48 hours ago to 2 hours ahead."""
    error = validate_envelope(envelope(time=(NOW - age).isoformat()), 100, NOW)
    assert (error and error.message[:3]) == code


def test_the_real_message_for_old_items() -> None:
    """The message is that of the service, because clients recognize it."""
    error = validate_envelope(envelope(time="2026-11-20T11:59:59Z"), 100, NOW)
    assert error is not None
    assert error.message == (
        "103: Field 'time' on type 'Envelope' is older than the allowed min date. "
        "Expected: now - 172800000ms, Actual: now - 172801000ms"
    )


@pytest.mark.parametrize(
    "text", ["2026-11-22T12:00:00Z", "2026-11-22T13:00:00.0000000+01:00", "2026-11-22T12:00:00.0"]
)
def test_formats_of_time(text: str) -> None:
    """Z, an offset, seven digits and a missing offset are accepted."""
    assert parse_time(text) == NOW
