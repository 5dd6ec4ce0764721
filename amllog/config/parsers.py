"""What each kind of setting accepts: a text from the environment or an argument → the checked value.

In: one value. Out: the value in the form that the code uses; ValueError, TypeError or re.error if it is not allowed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from amllog.record.redaction import Redactor
from amllog.record.secrets import secret_names

CAPTURES = ("logging", "warnings", "exceptions", "prints")
_DEFAULT_ENDPOINT = "https://dc.services.visualstudio.com"
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


class ConnectionString(NamedTuple):
    """Where Application Insights takes records: the resource's key and its ingestion endpoint."""

    instrumentation_key: str
    endpoint: str
    application_id: str = ""

    def __repr__(self) -> str:
        # The endpoint of `amllog serve` contains its token.
        tokens = secret_names.path_tokens(self.endpoint)
        return f"<ConnectionString: {Redactor(known=tokens).mask(self.endpoint)}>"


def parse_connection_string(value: object) -> ConnectionString:
    """A connection string as the portal gives it, or a bare instrumentation key.

    Accepts a trailing `;`, spaces, keys in any case, `=` in values, an upper-case GUID, and `EndpointSuffix`
    with `Location` instead of `IngestionEndpoint` (learn.microsoft.com, "Connection strings in Application
    Insights"). Raises ValueError.
    """
    if isinstance(value, ConnectionString):
        return value
    if not isinstance(value, str) or len(value) > 4096:
        raise ValueError("not a connection string")
    if _GUID.fullmatch(value.strip().lower()):
        return ConnectionString(value.strip().lower(), _DEFAULT_ENDPOINT)
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("a part without `=`")
    parts = {key.strip().lower(): part.strip() for key, _, part in pairs}
    key = parts.get("instrumentationkey", "").lower()
    endpoint = parts.get("ingestionendpoint") or _suffixed(parts) or _DEFAULT_ENDPOINT
    if not _GUID.fullmatch(key) or parts.get("authorization", "ikey").lower() != "ikey":
        raise ValueError("no instrumentation key")
    _check_endpoint(endpoint)
    return ConnectionString(key, endpoint.rstrip("/"), parts.get("applicationid", ""))


def _check_endpoint(endpoint: str) -> None:
    """Raise ValueError if no request can be sent there: no host, an odd port, a query, a blank."""
    parts = urlsplit(endpoint)
    labels = (parts.hostname or "").removesuffix(".").split(".")
    # `port` raises ValueError where it is no number of a port.
    is_host = all(0 < len(label) <= 63 for label in labels) and parts.port != 0
    if parts.scheme.lower() not in ("http", "https") or not is_host:
        raise ValueError("endpoint without https:// and a host")
    if "?" in endpoint or "#" in endpoint or re.search(r"[\x00-\x20\x7f]", endpoint):
        raise ValueError("endpoint with more than a host and a path")


def _suffixed(parts: Mapping[str, str]) -> str:
    if not parts.get("endpointsuffix"):
        return ""
    location = parts.get("location", "")
    return f"https://{location + '.' if location else ''}dc.{parts['endpointsuffix']}"


def parse_level(value: object) -> int:
    """A level's name in any case, or its number."""
    if isinstance(value, str) and not value.isdigit():
        number = logging.getLevelName(value.upper())
        if not isinstance(number, int):
            raise ValueError("unknown level")
        return number
    if isinstance(value, bool) or not isinstance(value, (int, str)) or int(value) < 0:
        raise ValueError("not a level")
    return int(value)


def parse_choice(*choices: str) -> Callable[[Any], str]:
    """A parser that accepts one of `choices`, in any case."""

    def parse(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or str(value).lower() not in choices:
            raise ValueError("not among the choices")
        return str(value).lower()

    return parse


def parse_string(value: Any) -> str:
    """A text as it is."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def parse_path(value: Any) -> Path:
    """A path, `~` expanded."""
    if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
        raise TypeError("not a path")
    return Path(value).expanduser()


def parse_dimensions(value: Any) -> dict[str, object]:
    """A dict with text keys, or `key=value` pairs with commas between."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key for key in value):
            raise TypeError("keys must be texts")
        return dict(value)
    pairs = [part.partition("=") for part in parse_string(value).split(",") if part.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise ValueError("not key=value")
    return {key.strip(): part.strip() for key, _, part in pairs}


def parse_list(value: Any) -> tuple[str, ...]:
    """A text with commas between, or an iterable of texts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise TypeError("not a list")
    return tuple(parse_string(part) for part in value)


def parse_captures(value: Any) -> tuple[str, ...]:
    """A list of what to capture; `none` is the empty one."""
    captures = tuple(part.lower() for part in parse_list(value))
    if captures == ("none",):
        return ()
    if not set(captures) <= set(CAPTURES):
        raise ValueError("unknown capture")
    return captures


def parse_patterns(value: Any) -> tuple[str, ...]:
    """A list of regular expressions."""
    patterns = parse_list(value)
    for pattern in patterns:
        if not pattern:  # it would mask every key
            raise ValueError("an empty expression")
        re.compile(pattern)
    return patterns


def parse_seconds(value: Any) -> float:
    """Seconds from 0 to 3600."""
    if isinstance(value, bool) or not 0 <= float(value) <= 3600:
        raise ValueError("out of range")
    return float(value)


def parse_size(value: Any) -> int:
    """Bytes, as a number or with a unit of 1024 (`500 MB`, `2GiB`); at least 1 MiB."""
    allowed = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    match = _SIZE.fullmatch(str(value).strip()) if allowed else None
    if match is None:
        raise ValueError("not a size")
    count, prefix, _ = match.groups()
    found = int(float(count) * 1024 ** " kmgt".index(prefix.lower() or " "))
    if found < 1024**2:
        raise ValueError("too small")
    return found
