"""The ingestion protocol without I/O: the body of a POST to /v2.1/track → items, judged → the answer.

In: the unzipped body, its content type, the present time. Out: a `Track`: what was accepted and what is answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Optional

import orjson

from amllog.local.app_insights.validation import ItemError, validate_envelope

BATCH_MAX_ITEMS = 64_000
SAMPLED_OUT = 206  # an item error with this status is accepted and not stored ("Telemetry sampled out.")

Envelope = dict[str, Any]
Verdict = Callable[[Envelope], Optional[ItemError]]
_LINE_TYPES = ("application/x-json-stream", "application/x-ndjson", "application/jsonlines", "text/plain")


class Item(NamedTuple):
    """One item of a batch as it came: the value, or the reason why it is no JSON."""

    value: object
    size_bytes: int
    error: ItemError | None = None


class TrackResult(NamedTuple):
    """What the service makes of one POST: the status, the reply, and the envelopes to keep."""

    status: int
    reply: dict[str, Any]
    accepted: list[Envelope]


def track(
    body: bytes, content_type: str, now: datetime, *, strict: bool = True, fault: Verdict | None = None
) -> TrackResult:
    """Judge one POST; `fault` may refuse further items (switched on for a test)."""
    try:
        items = split(body, content_type, strict=strict)
    except ValueError as error:
        return _whole(400, f"Invalid JSON: {error}")
    if not items:
        return _whole(400, "No telemetry items in the body")
    if len(items) > BATCH_MAX_ITEMS:
        return _whole(413, f"Too many telemetry items. Expected: {BATCH_MAX_ITEMS}, Actual: {len(items)}")
    return _answer(items, [_verdict(item, now, strict, fault) for item in items])


def split(body: bytes, content_type: str, *, strict: bool = True) -> list[Item]:
    """The items of a body: a JSON array, one object, or one object per line; ValueError if it is none of them."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _LINE_TYPES:
        return [_line(line, strict) for line in body.splitlines() if line.strip()]
    value = _loads(body, strict)
    values = value if isinstance(value, list) else [value]
    return [Item(one, _size(one)) for one in values]


def _line(line: bytes, strict: bool) -> Item:
    try:
        value = _loads(line, strict)
        _size(value)
        return Item(value, len(line))
    except ValueError as error:
        return Item(None, len(line), ItemError(400, f"Invalid JSON: {error}"))


def _size(value: object) -> int:
    """The bytes of its JSON; ValueError if it is nested too deeply to be written."""
    try:
        return len(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _loads(text: bytes, strict: bool) -> object:
    if strict:
        return orjson.loads(text)
    try:
        value = json.loads(text, parse_constant=lambda _: None)  # a lenient service: NaN becomes null
        return orjson.loads(orjson.dumps(value))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _verdict(item: Item, now: datetime, strict: bool, fault: Verdict | None) -> ItemError | None:
    if item.error or not isinstance(item.value, dict):
        return item.error or ItemError(400, "100: 'Envelope' is not an object")
    return (validate_envelope(item.value, item.size_bytes, now) if strict else None) or (
        fault(item.value) if fault else None
    )


def _answer(items: list[Item], verdicts: list[ItemError | None]) -> TrackResult:
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


def _whole(status: int, message: str) -> TrackResult:
    error: Mapping[str, object] = {"index": 0, "statusCode": status, "message": message}
    return TrackResult(status, {"itemsReceived": 0, "itemsAccepted": 0, "errors": [error]}, [])


def with_time_and_key_first(envelope: Envelope) -> Envelope:
    """As lines of a journal begin."""
    return {**{name: envelope[name] for name in ("time", "iKey") if name in envelope}, **envelope}
