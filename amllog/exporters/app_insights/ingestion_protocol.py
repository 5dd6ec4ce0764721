"""Build the body of ingestion requests and convert responses to verdicts, without I/O.

A batch is one request. The service accepts it as a whole (200), accepts a part and names the other items (206), or
rejects it as a whole. If a status may have one item as its cause, but the body does not name it, the exporter sends the
batch in halves (`SPLIT`).

Sources: ENDPOINT-PROTOCOL.md of ApplicationInsights-Home, and swagger v2.1 of the Monitor exporters.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from amllog.delivery.exporter import ExportResult, Verdict, refused, waiting
from amllog.record.response_body import ACCEPTED
from amllog.record.retry_after import retry_after_seconds

PATH = "/v2.1/track"
HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json; charset=utf-8",
    "Content-Encoding": "gzip",
    "Accept-Encoding": ACCEPTED,
}
# A response names each rejected record, in about 150 bytes. A batch has at most 8,000 records.
MAX_RESPONSE_BYTES = 2 * 1024 * 1024
# Redirects are followed within one host, and between the ingestion hosts of Azure Monitor (the list of its exporter).
AZURE_SUFFIXES = (".applicationinsights.azure.com", ".applicationinsights.azure.cn",
                  ".applicationinsights.azure.us", ".visualstudio.com")  # fmt: skip
MAX_PAUSE_SECONDS = 3600.0
_LEVEL = 3  # of gzip. Records are so repetitive that higher levels cost more than they save (bench/).
# Brackets in a response. Each item has one object, and messages may quote values.
_BRACKETS, _BRACKETS_PER_ITEM = 1_000, 16

# Lines that are compressed at once. After each call, a busy script may keep the interpreter for 5 ms.
_SLICE = 2_500
_KEYLESS = b'"iKey":""'

SAMPLED = "sampled out by the service"
TOO_OLD = "older than 48 hours: the service takes no such record"
SPLIT = "split"

# The meaning of the status of a whole request, and the seconds to wait before the next one.
_WAITS: Mapping[int, tuple[str, float]] = {
    401: ("not authorized", 30.0),
    402: ("quota exceeded", 60.0),
    403: ("forbidden: is local authentication disabled on the resource?", 30.0),
    404: ("no such endpoint: is the connection string the portal's?", 60.0),
    408: ("timeout", 0.0),
    429: ("too many requests", 0.0),
    439: ("daily quota exceeded", 60.0),
    500: ("server error", 0.0),
    502: ("bad gateway", 0.0),
    503: ("service unavailable", 0.0),
    504: ("gateway timeout", 0.0),
}
_SPLITS = {400, 413}


def request_body(lines: Sequence[bytes], key: bytes) -> bytes:
    """Return the gzipped JSON array of the lines. A line without an instrumentation key gets `key`."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [compressor.compress(b"[")]
    # In slices, so that a large batch is not in memory twice.
    for start in range(0, len(lines), _SLICE):
        joined = b",".join(lines[start : start + _SLICE])
        if _KEYLESS in joined:
            joined = b",".join(_with_key(line, key) for line in lines[start : start + _SLICE])
        joined = joined.replace(b"\n", b"")  # at the ends of lines. JSON has none inside.
        parts.append(compressor.compress(b"," + joined if start else joined))
    parts += [compressor.compress(b"]"), compressor.flush()]
    return b"".join(parts)


def parse_response(status: int, headers: Mapping[str, str], payload: bytes, count: int) -> ExportResult | str:
    """Return the result of a request with `count` lines, or `SPLIT` if smaller batches are needed."""
    if status == 200:
        return ExportResult(exceptions=_items(payload, count) or {})
    if status == 206:
        items = _items(payload, count, partial=True)
        # Without a readable body it is unknown which records were stored. They are sent again with the same record_id.
        if items is None:
            return ExportResult(waiting("206 with an unreadable response"))
        retry = any(verdict.state == "waiting" for verdict in items.values())
        return ExportResult(exceptions=items, pause_seconds=pause_seconds(headers) if retry else 0.0)
    if status in _SPLITS:
        return _client_error(status, payload, count)
    meaning, pause = _WAITS.get(status, ("unexpected response", 30.0))
    return ExportResult(waiting(f"{status} {meaning}"), pause_seconds=pause_seconds(headers) or pause)


def pause_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Return the seconds of a Retry-After header, at most an hour. 0 without a valid one."""
    return min(MAX_PAUSE_SECONDS, retry_after_seconds(headers, now) or 0.0)


def redirect_target(origin: str, location: str) -> str | None:
    """Return the URL of a redirect, or None if it must not receive data. `location` may be a path."""
    try:
        target = urljoin(origin, location)
        return target if location and may_follow(origin, target) else None
    except ValueError:  # an invalid URL
        return None


def may_follow(origin: str, location: str) -> bool:
    """Return whether `location` may receive data for `origin`.

    Both must have the same host, or be hosts of Azure Monitor with TLS.
    """
    source, target = urlsplit(origin), urlsplit(location)
    if target.scheme not in ("http", "https") or (source.scheme == "https" and target.scheme != "https"):
        return False
    if source.hostname == target.hostname:
        return True
    hosts = [(url.hostname or "").lower() for url in (source, target)]
    return target.scheme == "https" and all(host.endswith(AZURE_SUFFIXES) for host in hosts)


def _with_key(line: bytes, key: bytes) -> bytes:
    return line[:46] + key + line[46:] if line[38:47] == _KEYLESS else line


def _client_error(status: int, payload: bytes, count: int) -> ExportResult | str:
    """Return the result of a 400 or 413: the verdicts in the body, or `SPLIT` if it does not name every line."""
    items = _items(payload, count)
    if items and len(items) == count:
        return ExportResult(exceptions=items)
    if count > 1:
        return SPLIT
    return ExportResult(refused(f"{status} {'too large' if status == 413 else 'invalid'}"))


def _items(payload: bytes, count: int, *, partial: bool = False) -> dict[int, Verdict] | None:
    """Return the verdicts of the items that the body names, or None if the body is unreadable.

    `partial`: the service accepted a part of the batch. Then the body must name each of the others.
    """
    if payload.count(b"[") + payload.count(b"{") > _BRACKETS + _BRACKETS_PER_ITEM * count:
        return None  # an empty list takes 20 times the memory of its characters
    try:
        answer = json.loads(payload)
        accepted = int(answer.get("itemsAccepted", 0))
        errors = [
            (int(error["index"]), int(error["statusCode"]), str(error.get("message")))
            for error in answer["errors"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    verdicts = {
        index: _item(status, message)
        for index, status, message in errors
        if 0 <= index < count and status != 200
    }
    missing = count - accepted if "itemsAccepted" in answer else 0
    return None if partial and len(verdicts) < missing else verdicts


def _item(status: int, message: Any) -> Verdict:
    if "sampled out" in message.lower():
        return refused(SAMPLED)
    if status in _WAITS:
        return waiting(f"{status} {_WAITS[status][0]}")
    if "older than the allowed min date" in message:
        return refused(TOO_OLD)
    # Reasons are counted, so the part that differs between items is removed.
    general = re.sub(r"[.:,;]? (Expected|Actual)\b.*", "", message)
    return refused(f"{status}: {general[:100]}")
