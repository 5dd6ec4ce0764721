"""What a record is: one Application Insights envelope, its limits, and the one codec.

In: a time, a kind and its fields as plain Python values. Out: one line of strict JSON, at most 64 KB, which is
both what the journal keeps and what is sent. Shapes and limits: the Bond schemas of the ingestion protocol
(microsoft/ApplicationInsights-dotnet, Schema/PublicSchema) and the service limits page (64 KB an item).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from amllog.process import interrupts
from amllog.record import text

MAX_MESSAGE = 32_768
MAX_KEY = 150
MAX_VALUE = 8_192
MAX_NAME = 1_024
MAX_EVENT_NAME = 512
MAX_ITEM_BYTES = 65_536
MAX_AGE_SECONDS = 48 * 3600
_LAST_SECOND = 253_402_300_799.0  # of the year 9999: the last that has four digits

OMITTED_DIMENSIONS = "dimensions_left_out"  # how many did not fit into the item
# Stay whatever is left out: which record it is, of which run, and for whom.
_KEPT = {
    OMITTED_DIMENSIONS,
    "record_id",
    "step_id",
    "parent_run_id",
    "run_metric",
    "run_metric_data",
    "run_id",
    "step",
}
_LIMITS = (MAX_KEY, MAX_EVENT_NAME, MAX_NAME, MAX_VALUE, MAX_MESSAGE)
_SHORT = 200
_CROWD = 400  # dimensions, which fill an item even where all are short
EMPTY = "(empty)"  # the service takes no record without a message or a name

# Every line begins with the time, at a fixed place, so that age and addressee are read without parsing.
TIME_SLICE = slice(9, 36)
_HEAD = b'{"time":"'
_KEY_MEMBER = b'"iKey":"'
KEY_OFFSET = 38

# baseType → the last part of the envelope's name
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
    """What all records of a process share: the addressee and who speaks."""

    key: str | None
    tags: dict[str, str]

    def tags_for_span(self, operation_id: str, parent_id: str) -> dict[str, str]:
        """The envelope's tags for a record under the span `parent_id` of operation `operation_id`."""
        return {**self.tags, **span_tags(operation_id, parent_id)}


def span_tags(operation_id: str, parent_id: str) -> dict[str, str]:
    """The tags that tell which span a record stands under."""
    tags = {"ai.operation.id": operation_id}
    if parent_id:
        tags["ai.operation.parentId"] = parent_id
    return tags


def severity(level: int) -> int:
    """logging's level number as severityLevel 0–4 (Verbose, Information, Warning, Error, Critical)."""
    if level > 40:
        return 4
    return (level - 1) // 10 if level > 10 else 0


def format_duration(seconds: float) -> str:
    """Seconds as the protocol's `D.HH:MM:SS.ffffff` (less than 1000 days)."""
    micros = min(max(0, round(seconds * 1e6)), 999 * 86_400_000_000)
    days, micros = divmod(micros, 86_400_000_000)
    hours, micros = divmod(micros, 3_600_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    return f"{days}.{hours:02d}:{minutes:02d}:{micros // 1_000_000:02d}.{micros % 1_000_000:06d}"


# The instant last written as text, and its second: single cells, replaced as a whole, so threads need no lock.
_instant: list[tuple[float, str]] = [(-1.0, "")]
_second: list[tuple[int, str]] = [(-1, "")]


def format_timestamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 UTC with microseconds, always 27 characters."""
    last, said = _instant[0]
    if seconds == last:  # a record's journal line and its driver log line
        return said
    within = seconds if 0.0 <= seconds <= _LAST_SECOND else min(max(0.0, seconds), _LAST_SECOND)
    whole = int(within)
    known, prefix = _second[0]
    if known != whole:
        prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
        _second[0] = (whole, prefix)
    micros = str(1_000_000 + int((within - whole) * 1e6))  # its leading 1 makes six digits of any
    said = f"{prefix}{micros[1:]}Z"
    _instant[0] = (seconds, said)
    return said


def limit_properties(values: Mapping[str, str]) -> dict[str, str]:
    """Texts as dimensions within the service's limits; a cut is marked in the value, or in the key."""
    return {text.truncate(key, MAX_KEY): text.truncate(value, MAX_VALUE) for key, value in values.items()}


def encode_record(
    seconds: float, key: str | None, tags: Mapping[str, str], kind: str, data: dict[str, Any]
) -> bytes:
    """One envelope as one line of JSON, newline included; arguments as for `envelope`."""
    return encode_envelope(build_envelope(seconds, key, tags, kind, data))


def build_envelope(
    seconds: float, key: str | None, tags: Mapping[str, str], kind: str, data: dict[str, Any]
) -> dict[str, Any]:
    """One envelope.

    `key`: the instrumentation key; "" while none is known; None for a record that is not for the service.
    `kind`: the baseType. `data`: the baseData, without `ver`.
    """
    found: dict[str, Any] = {"time": format_timestamp(seconds)}
    if key is not None:
        found["iKey"] = key
    found["ver"] = 1
    found["name"] = _NAMES[kind]
    found["tags"] = tags
    found["data"] = {"baseType": kind, "baseData": {"ver": 2, **data}}
    return found


def reorder_members(found: dict[str, Any]) -> dict[str, Any]:
    """An envelope that others have changed, with its first members in their places again."""
    first: dict[str, Any] = {key: found.pop(key) for key in ("time", "iKey", "ver", "name") if key in found}
    return {**first, **found}


def load_codec() -> Callable[[Any], bytes]:
    """What turns plain values into JSON. TypeError: a lone surrogate.

    Asked for by setup(): a fork while another thread imports it would leave the child waiting for ever.
    """
    from orjson import dumps  # here, not above: `import amllog` must stay light

    return dumps


def encode_envelope(found: dict[str, Any]) -> bytes:
    """Any envelope as a line within the item limit; `time` and `iKey` must be its first members."""
    from orjson import OPT_APPEND_NEWLINE, dumps  # here, not above: `import amllog` must stay light

    try:
        encoded = dumps(found, option=OPT_APPEND_NEWLINE)
    except TypeError as error:  # a lone surrogate somewhere
        interrupts.pass_on(error)
        encoded = dumps(found := _printable(found), option=OPT_APPEND_NEWLINE)
    while len(encoded) > MAX_ITEM_BYTES:
        _shrink(found, len(encoded) - MAX_ITEM_BYTES)
        encoded = dumps(found, option=OPT_APPEND_NEWLINE)
    return encoded


def decode_line(encoded: bytes) -> dict[str, Any] | None:
    """The envelope of a line; None if the line is torn or no object."""
    from orjson import JSONDecodeError, loads

    try:
        envelope = loads(encoded)
    except JSONDecodeError:
        return None
    return envelope if isinstance(envelope, dict) else None


def is_complete(encoded: bytes) -> bool:
    """Whether the line looks like an envelope of ours from end to end (a torn one does not)."""
    return encoded.startswith(_HEAD) and encoded.endswith((b"}\n", b"}"))


def instrumentation_key(encoded: bytes) -> bytes | None:
    """The instrumentation key a line is addressed to; b"" if none was known, None if it is not to be sent."""
    if not encoded.startswith(_KEY_MEMBER, KEY_OFFSET):
        return None
    start = KEY_OFFSET + len(_KEY_MEMBER)
    return encoded[start : encoded.find(b'"', start)]


def read_time(encoded: bytes) -> str:
    """The time text of a line."""
    return encoded[TIME_SLICE].decode("ascii", "replace")


def is_run_metric(encoded: bytes) -> bool:
    """Whether a line is meant for run history."""
    return b'"run_metric":"' in encoded


def is_exception_or_request(encoded: bytes) -> bool:
    """Whether a line tells of an error with its stack, or of how the step ended."""
    return b'"baseType":"ExceptionData"' in encoded or b'"baseType":"RequestData"' in encoded


def _printable(value: Any) -> Any:
    """Every text without lone surrogates, still within the limit that it was cut to."""
    if isinstance(value, str):
        limit = next((limit for limit in _LIMITS if len(value) <= limit), len(value))
        return text.truncate(text.replace_surrogates(value), limit)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value


def _shrink(envelope: dict[str, Any], excess: int) -> None:
    """Takes some of `excess` bytes off: from the longest text; where all are short, from the frames of a stack,
    then from the dimensions."""
    data = envelope["data"]["baseData"]
    if len(data["properties"]) > _CROWD:  # cutting so many one by one takes seconds
        _leave_out(data["properties"])
        return
    owner, member = max(_texts(data), key=lambda place: len(place[0][place[1]]))
    value = owner[member]
    if len(value) > _SHORT:
        # A character may take up to 6 bytes (\u0000): halving always ends, the estimate makes it end soon.
        owner[member] = text.truncate_middle(
            value, max(len(value) // 2, len(value) - max(_SHORT // 2, excess))
        )
        return
    stacks = [one["parsedStack"] for one in data.get("exceptions", ()) if len(one.get("parsedStack", ())) > 1]
    if stacks:
        longest = max(stacks, key=len)
        del longest[len(longest) // 2 :]
        return
    _leave_out(data["properties"])


def _leave_out(dimensions: dict[str, str]) -> None:
    """Half of the dimensions, with a mark that says how many were left out."""
    left_out = int(dimensions.pop(OMITTED_DIMENSIONS, 0))
    free = [name for name in dimensions if name not in _KEPT]
    for name in free[len(free) // 2 :]:
        del dimensions[name]
        left_out += 1
    dimensions[OMITTED_DIMENSIONS] = str(left_out)


def _texts(value: Any) -> list[tuple[Any, Any]]:
    """Every place in the envelope where a text stands: (container, key or index)."""
    places: list[tuple[Any, Any]] = []
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for member, item in members:
        if isinstance(item, str):
            places.append((value, member))
        elif isinstance(item, (dict, list)):
            places.extend(_texts(item))
    return places
