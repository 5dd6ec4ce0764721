"""The ingestion protocol without I/O: lines → request body, answer → verdicts.

In: journal lines; a status code, headers and a body. Out: gzipped JSON; an `Answer`, or `SPLIT` where only smaller
batches can tell which item is at fault. Sources: ENDPOINT-PROTOCOL.md of ApplicationInsights-Home, and the Monitor
exporters' swagger v2.1.
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
# An answer names each record that was not taken, in some 150 bytes; a batch has at most 8,000.
MAX_ANSWER_BYTES = 2 * 1024 * 1024
# Redirects go only within one host, or between hosts of Azure Monitor's own ingestion (the Azure exporter's list).
AZURE_SUFFIXES = (".applicationinsights.azure.com", ".applicationinsights.azure.cn",
                  ".applicationinsights.azure.us", ".visualstudio.com")  # fmt: skip
MAX_PAUSE_SECONDS = 3600.0
_SPEED = 3  # of gzip: records repeat themselves so much that higher levels cost more than they save (bench/)
# Brackets in an answer: each item has an object, and messages may quote values.
_BRACKETS, _BRACKETS_PER_ITEM = 1_000, 16

_SLICE = 2_500  # lines that are compressed at a time: each time, a busy script may keep us waiting for 5 ms
_KEYLESS = b'"iKey":""'

SAMPLED = "sampled out by the service"
TOO_OLD = "older than 48 hours: the service takes no such record"
SPLIT = "split"

# status of a whole request → (what it means, how long to wait before the next offer)
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


def body(lines: Sequence[bytes], key: bytes) -> bytes:
    """The request's body: a JSON array of the lines as they are, gzipped; `key` where a line has none yet."""
    packer = zlib.compressobj(_SPEED, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [packer.compress(b"[")]
    for start in range(0, len(lines), _SLICE):  # a slice at a time, so that a large batch is not held twice
        some = b",".join(lines[start : start + _SLICE])
        if _KEYLESS in some:
            some = b",".join(_addressed(line, key) for line in lines[start : start + _SLICE])
        some = some.replace(b"\n", b"")  # those at the ends of lines: within one, JSON has none
        parts.append(packer.compress(b"," + some if start else some))
    parts += [packer.compress(b"]"), packer.flush()]
    return b"".join(parts)


def judge(status: int, headers: Mapping[str, str], payload: bytes, count: int) -> ExportResult | str:
    """What an answer means for `count` offered lines; SPLIT if smaller batches must tell."""
    if status == 200:
        return ExportResult(exceptions=_items(payload, count) or {})
    if status == 206:
        items = _items(payload, count, partial=True)
        # Unreadable: what was stored is unknown. Sent again with the same record_id, it can be told apart.
        if items is None:
            return ExportResult(waiting("206 with an unreadable answer"))
        again = any(verdict.state == "waiting" for verdict in items.values())
        return ExportResult(exceptions=items, pause_seconds=pause_seconds(headers) if again else 0.0)
    if status in _SPLITS:
        return _client_error(status, payload, count)
    meaning, pause = _WAITS.get(status, ("unexpected answer", 30.0))
    return ExportResult(waiting(f"{status} {meaning}"), pause_seconds=pause_seconds(headers) or pause)


def pause_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Return the seconds of a Retry-After header, at most an hour. 0 without a valid one."""
    return min(MAX_PAUSE_SECONDS, retry_after_seconds(headers, now) or 0.0)


def redirected(origin: str, location: str) -> str | None:
    """Return the address of a redirect, or None if no data may go there. `location` may be a path only."""
    try:
        there = urljoin(origin, location)
        return there if location and may_follow(origin, there) else None
    except ValueError:  # no address
        return None


def may_follow(origin: str, location: str) -> bool:
    """Whether data meant for `origin` may go to `location`: the same host, or both Azure Monitor's, by TLS."""
    here, there = urlsplit(origin), urlsplit(location)
    if there.scheme not in ("http", "https") or (here.scheme == "https" and there.scheme != "https"):
        return False
    if here.hostname == there.hostname:
        return True
    hosts = [(host.hostname or "").lower() for host in (here, there)]
    return there.scheme == "https" and all(host.endswith(AZURE_SUFFIXES) for host in hosts)


def _addressed(line: bytes, key: bytes) -> bytes:
    return line[:46] + key + line[46:] if line[38:47] == _KEYLESS else line


def _client_error(status: int, payload: bytes, count: int) -> ExportResult | str:
    """400 and 413: what the body says of each item, else only smaller batches can tell which one it is."""
    items = _items(payload, count)
    if items and len(items) == count:
        return ExportResult(exceptions=items)
    if count > 1:
        return SPLIT
    return ExportResult(refused(f"{status} {'too large' if status == 413 else 'invalid'}"))


def _items(payload: bytes, count: int, *, partial: bool = False) -> dict[int, Verdict] | None:
    """Return the verdicts of the items that the body names, or None if it cannot be read.

    `partial`: the answer to a batch of which only a part was taken. None if the body does not name each of the others.
    """
    if payload.count(b"[") + payload.count(b"{") > _BRACKETS + _BRACKETS_PER_ITEM * count:
        return None  # each empty list takes 20 times its text
    try:
        told = json.loads(payload)
        accepted = int(told.get("itemsAccepted", 0))
        found = [
            (int(error["index"]), int(error["statusCode"]), str(error.get("message")))
            for error in told["errors"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    verdicts = {
        index: _item(status, message)
        for index, status, message in found
        if 0 <= index < count and status != 200
    }
    missing = count - accepted if "itemsAccepted" in told else 0
    return None if partial and len(verdicts) < missing else verdicts


def _item(status: int, message: Any) -> Verdict:
    if "sampled out" in message.lower():
        return refused(SAMPLED)
    if status in _WAITS:
        return waiting(f"{status} {_WAITS[status][0]}")
    if "older than the allowed min date" in message:
        return refused(TOO_OLD)
    # Reasons are counted, so what differs from item to item is left out.
    general = re.sub(r"[.:,;]? (Expected|Actual)\b.*", "", message)
    return refused(f"{status}: {general[:100]}")
