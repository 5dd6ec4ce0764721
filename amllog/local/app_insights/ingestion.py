"""Judge one POST to `/v2.1/track` as the ingestion service does. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Optional

import orjson

from amllog.local.app_insights.validation import ItemError, validate_envelope

BATCH_MAX_ITEMS = 64_000
SAMPLED_OUT = 206  # an item with this error counts as accepted and is not stored ("Telemetry sampled out.")

Envelope = dict[str, Any]
ItemFault = Callable[[Envelope], Optional[ItemError]]
_LINE_TYPES = ("application/x-json-stream", "application/x-ndjson", "application/jsonlines", "text/plain")


class Item(NamedTuple):
    """One item of a batch: its value, or the error if it is not valid JSON."""

    value: object
    size_bytes: int
    error: ItemError | None = None


class TrackResult(NamedTuple):
    """The result of one POST: the status, the body of the response, and the accepted envelopes."""

    status: int
    reply: dict[str, Any]
    accepted: list[Envelope]


def track(
    body: bytes, content_type: str, now: datetime, *, strict: bool = True, fault: ItemFault | None = None
) -> TrackResult:
    """Judge one POST.

    `body` is decompressed, and `now` is the current time. `fault` may reject more items, for a test.
    """
    try:
        items = split_items(body, content_type, strict=strict)
    except ValueError as error:
        return _reject_all(400, f"Invalid JSON: {error}")
    if not items:
        return _reject_all(400, "No telemetry items in the body")
    if len(items) > BATCH_MAX_ITEMS:
        return _reject_all(
            413, f"Too many telemetry items. Expected: {BATCH_MAX_ITEMS}, Actual: {len(items)}"
        )
    return _result(items, [_verdict(item, now, strict, fault) for item in items])


def split_items(body: bytes, content_type: str, *, strict: bool = True) -> list[Item]:
    """Return the items of a JSON array, one object, or one object per line. Raises ValueError for other bodies."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _LINE_TYPES:
        return [_line(line, strict) for line in body.splitlines() if line.strip()]
    content = _loads(body, strict)
    values = content if isinstance(content, list) else [content]
    return [Item(value, _size(value)) for value in values]


def _line(line: bytes, strict: bool) -> Item:
    try:
        value = _loads(line, strict)
        _size(value)
        return Item(value, len(line))
    except ValueError as error:
        return Item(None, len(line), ItemError(400, f"Invalid JSON: {error}"))


def _size(value: object) -> int:
    """Return the size of a value as JSON in bytes. Raises ValueError if it is nested too deeply."""
    try:
        return len(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _loads(text: bytes, strict: bool) -> object:
    if strict:
        return orjson.loads(text)
    try:
        value = json.loads(text, parse_constant=lambda _: None)  # lenient: NaN becomes null
        return orjson.loads(orjson.dumps(value))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _verdict(item: Item, now: datetime, strict: bool, fault: ItemFault | None) -> ItemError | None:
    if item.error or not isinstance(item.value, dict):
        return item.error or ItemError(400, "100: 'Envelope' is not an object")
    return (validate_envelope(item.value, item.size_bytes, now) if strict else None) or (
        fault(item.value) if fault else None
    )


def _result(items: list[Item], verdicts: list[ItemError | None]) -> TrackResult:
    accepted = [
        item.value for item, error in zip(items, verdicts) if error is None and isinstance(item.value, dict)
    ]
    errors = [
        {"index": index, "statusCode": error.status, "message": error.message}
        for index, error in enumerate(verdicts)
        if error is not None
    ]
    sampled = sum(1 for error in verdicts if error and error.status == SAMPLED_OUT)
    reply = {"itemsReceived": len(items), "itemsAccepted": len(accepted) + sampled, "errors": errors}
    if not errors:
        return TrackResult(200, reply, accepted)
    return TrackResult(206 if reply["itemsAccepted"] else _first_status(errors), reply, accepted)


def _first_status(errors: list[dict[str, Any]]) -> int:
    return int(errors[0]["statusCode"])


def _reject_all(status: int, message: str) -> TrackResult:
    error: Mapping[str, object] = {"index": 0, "statusCode": status, "message": message}
    return TrackResult(status, {"itemsReceived": 0, "itemsAccepted": 0, "errors": [error]}, [])


def with_time_and_key_first(envelope: Envelope) -> Envelope:
    """Return an envelope whose members `time` and `iKey` are the first, as in the lines of a journal."""
    return {**{name: envelope[name] for name in ("time", "iKey") if name in envelope}, **envelope}
