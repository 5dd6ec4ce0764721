"""The Application Insights envelope: its fields, the limits of the service, and its encoding as JSON.

An envelope is one line of strict JSON of at most 64 KB. The journal stores this line, and the exporter sends it
unchanged. Sources: the Bond schemas of the ingestion protocol (microsoft/ApplicationInsights-dotnet,
Schema/PublicSchema) and the page of service limits (64 KB per item).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from amllog.process import interrupts
from amllog.record import item_limit, text

MAX_MESSAGE = 32_768
MAX_KEY = 150
MAX_VALUE = 8_192
MAX_NAME = 1_024
MAX_EVENT_NAME = 512
MAX_ITEM_BYTES = 65_536
MAX_AGE_SECONDS = 48 * 3600
_LAST_SECOND = 253_402_300_799.0  # of the year 9999, because the format has four digits

_LIMITS = (MAX_KEY, MAX_EVENT_NAME, MAX_NAME, MAX_VALUE, MAX_MESSAGE)
UNCAUGHT_LOGGER = "amllog.uncaught"  # the logger of uncaught exceptions
EMPTY = "(empty)"  # the service rejects a record without a message or a name

# The time and the instrumentation key have fixed positions in each line, so that they are read without parsing.
TIME_SLICE = slice(9, 36)
_HEAD = b'{"time":"'
_KEY_MEMBER = b'"iKey":"'
KEY_OFFSET = 38

# baseType → the last part of the name of the envelope
KINDS = {
    "MessageData": "Message",
    "ExceptionData": "Exception",
    "EventData": "Event",
    "MetricData": "Metric",
    "RequestData": "Request",
    "RemoteDependencyData": "RemoteDependency",
}
_NAMES = {kind: f"Microsoft.ApplicationInsights.{name}" for kind, name in KINDS.items()}


class Sender(NamedTuple):
    """The part of the envelope that all records of a process share: the instrumentation key and tags."""

    key: str | None
    tags: dict[str, str]

    def tags_for_span(self, operation_id: str, parent_id: str) -> dict[str, str]:
        """Return the tags of a record in the span `parent_id` of the operation `operation_id`."""
        return {**self.tags, **span_tags(operation_id, parent_id)}


def span_tags(operation_id: str, parent_id: str) -> dict[str, str]:
    """Return the tags that assign a record to a span."""
    tags = {"ai.operation.id": operation_id}
    if parent_id:
        tags["ai.operation.parentId"] = parent_id
    return tags


def severity(level: int) -> int:
    """Return the severityLevel of a logging level: 0 to 4 (Verbose, Information, Warning, Error, Critical)."""
    if level > 40:
        return 4
    return (level - 1) // 10 if level > 10 else 0


def format_duration(seconds: float) -> str:
    """Format seconds as `D.HH:MM:SS.ffffff`. The protocol allows less than 1000 days."""
    micros = min(max(0, round(seconds * 1e6)), 999 * 86_400_000_000)
    days, micros = divmod(micros, 86_400_000_000)
    hours, micros = divmod(micros, 3_600_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    return f"{days}.{hours:02d}:{minutes:02d}:{micros // 1_000_000:02d}.{micros % 1_000_000:06d}"


# The last formatted time, and the prefix of its second. Each item is replaced as a whole, so threads need no lock.
_last_time: list[tuple[float, str]] = [(-1.0, "")]
_last_second: list[tuple[int, str]] = [(-1, "")]


def format_timestamp(seconds: float) -> str:
    """Format seconds since the epoch as ISO 8601 in UTC with microseconds, always 27 characters."""
    last, formatted = _last_time[0]
    if seconds == last:  # the line in the driver log follows the line in the journal
        return formatted
    within = seconds if 0.0 <= seconds <= _LAST_SECOND else min(max(0.0, seconds), _LAST_SECOND)
    whole = int(within)
    known, prefix = _last_second[0]
    if known != whole:
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
        _last_second[0] = (whole, prefix)
    micros = str(1_000_000 + int((within - whole) * 1e6))  # the leading 1 keeps leading zeros
    formatted = f"{prefix}{micros[1:]}Z"
    _last_time[0] = (seconds, formatted)
    return formatted


def limit_properties(values: Mapping[str, str]) -> dict[str, str]:
    """Truncate keys and values to the limits of dimensions. A mark shows where a string was cut."""
    return {text.truncate(key, MAX_KEY): text.truncate(value, MAX_VALUE) for key, value in values.items()}


def encode_record(
    seconds: float, key: str | None, tags: Mapping[str, str], kind: str, data: dict[str, Any]
) -> bytes:
    """Return a new envelope as a line of JSON with its newline. The arguments are those of `build_envelope`."""
    return encode_envelope(build_envelope(seconds, key, tags, kind, data))


def build_envelope(
    seconds: float, key: str | None, tags: Mapping[str, str], kind: str, data: dict[str, Any]
) -> dict[str, Any]:
    """Return a new envelope.

    `key` is the instrumentation key, "" while it is unknown, or None if the record is not for the service. `kind` is
    the baseType, and `data` the baseData without `ver`.
    """
    envelope: dict[str, Any] = {"time": format_timestamp(seconds)}
    if key is not None:
        envelope["iKey"] = key
    envelope["ver"] = 1
    envelope["name"] = _NAMES[kind]
    envelope["tags"] = tags
    envelope["data"] = {"baseType": kind, "baseData": {"ver": 2, **data}}
    return envelope


def reorder_members(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return an envelope that a telemetry processor has changed, with its first members at the beginning again."""
    names = [name for name in ("time", "iKey", "ver", "name") if name in envelope]
    return {**{name: envelope[name] for name in names}, **envelope}


def load_codec() -> Callable[[Any], bytes]:
    """Return the function that encodes values as JSON. It raises TypeError for a lone surrogate.

    setup() calls it early. A fork while another thread imports orjson would leave the import lock of the child locked
    for ever.
    """
    from orjson import dumps  # here, not above: `import amllog` must stay light

    return dumps


def encode_envelope(envelope: dict[str, Any]) -> bytes:
    """Return an envelope as a line within the limit. `time` and `iKey` must be its first members.

    Changes the envelope if it is over the limit.
    """
    from orjson import OPT_APPEND_NEWLINE, dumps  # here, not above: `import amllog` must stay light

    try:
        encoded = dumps(envelope, option=OPT_APPEND_NEWLINE)
    except TypeError as error:  # a lone surrogate in a string
        interrupts.pass_on(error)
        encoded = dumps(envelope := _without_surrogates(envelope), option=OPT_APPEND_NEWLINE)
    while len(encoded) > MAX_ITEM_BYTES:
        item_limit.shrink(envelope, len(encoded) - MAX_ITEM_BYTES)
        encoded = dumps(envelope, option=OPT_APPEND_NEWLINE)
    return encoded


def decode_line(encoded: bytes) -> dict[str, Any] | None:
    """Return the envelope of a line, or None if the line is incomplete or not a JSON object."""
    from orjson import JSONDecodeError, loads

    try:
        envelope = loads(encoded)
    except JSONDecodeError:
        return None
    return envelope if isinstance(envelope, dict) else None


def is_complete(encoded: bytes) -> bool:
    """Return whether the line begins and ends like an envelope. A line that was cut off does not."""
    return encoded.startswith(_HEAD) and encoded.endswith((b"}\n", b"}"))


def instrumentation_key(encoded: bytes) -> bytes | None:
    """Return the instrumentation key of a line: b"" if it was unknown, None if the record is not for the service."""
    if not encoded.startswith(_KEY_MEMBER, KEY_OFFSET):
        return None
    start = KEY_OFFSET + len(_KEY_MEMBER)
    return encoded[start : encoded.find(b'"', start)]


def read_time(encoded: bytes) -> str:
    """Return the time of a line as it is written there."""
    return encoded[TIME_SLICE].decode("ascii", "replace")


def is_run_metric(encoded: bytes) -> bool:
    """Return whether a line is for run history."""
    return b'"run_metric":"' in encoded


def is_exception_or_request(encoded: bytes) -> bool:
    """Return whether a line is an exception, or the request with the result of the step."""
    return b'"baseType":"ExceptionData"' in encoded or b'"baseType":"RequestData"' in encoded


def _without_surrogates(value: Any) -> Any:
    """Replace lone surrogates in all strings. Each string stays within the limit that it was truncated to."""
    if isinstance(value, str):
        limit = next((limit for limit in _LIMITS if len(value) <= limit), len(value))
        return text.truncate(text.replace_surrogates(value), limit)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
