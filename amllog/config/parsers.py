"""Parse and validate the value of a setting, from an argument or from the environment.

Each parser returns the value in the form that the code uses. It raises one of `INVALID` if the value is invalid.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from amllog.process import interrupts
from amllog.record.redaction import Redactor
from amllog.record.secrets import secret_names

INVALID = (ValueError, TypeError, ArithmeticError, RuntimeError, re.error, Warning)  # a value raises these
_WORD = re.compile(r"\w{2,}")
_OFF = {"off", "false", "no", "0", "disable", "disabled", "nothing", "null"}
CAPTURES = ("logging", "warnings", "exceptions", "loguru", "prints")
_DEFAULT_ENDPOINT = "https://dc.services.visualstudio.com"
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>[0-9]{1,5})", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


class ConnectionString(NamedTuple):
    """The address of an Application Insights resource: its instrumentation key and its ingestion endpoint."""

    instrumentation_key: str
    endpoint: str
    application_id: str = ""

    @property
    def text(self) -> str:
        """The connection string."""
        parts = (
            ("InstrumentationKey", self.instrumentation_key),
            ("IngestionEndpoint", self.endpoint),
            ("ApplicationId", self.application_id),
        )
        return ";".join(f"{name}={value}" for name, value in parts if value)

    def __repr__(self) -> str:
        # The endpoint of `amllog serve` contains its token.
        tokens = secret_names.path_tokens(self.endpoint)
        return f"<ConnectionString: {Redactor(known=tokens).mask(self.endpoint)}>"


class Address(NamedTuple):
    """A host and a port at which this process listens. Port 0 is any free one."""

    host: str
    port: int


def parse_connection_string(value: object) -> ConnectionString:
    """Parse a connection string from the portal, or an instrumentation key alone.

    A trailing `;`, spaces, keys in any case, `=` in values and an upper-case GUID are accepted, and `EndpointSuffix`
    with `Location` instead of `IngestionEndpoint` (learn.microsoft.com, "Connection strings in Application
    Insights"). Raise ValueError if it is invalid.
    """
    if isinstance(value, ConnectionString):
        return value
    if not isinstance(value, str) or len(value) > 4096:
        raise ValueError("not a connection string")
    if _GUID.fullmatch(value.strip().lower()):
        return ConnectionString(value.strip().lower(), _DEFAULT_ENDPOINT)
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("part without `=`")
    parts = {key.strip().lower(): part.strip() for key, _, part in pairs}
    key = parts.get("instrumentationkey", "").lower()
    endpoint = parts.get("ingestionendpoint") or _suffixed(parts) or _DEFAULT_ENDPOINT
    if not _GUID.fullmatch(key) or parts.get("authorization", "ikey").lower() != "ikey":
        raise ValueError("no instrumentation key")
    _check_endpoint(endpoint)
    return ConnectionString(key, endpoint.rstrip("/"), parts.get("applicationid", ""))


def _check_endpoint(endpoint: str) -> None:
    """Raise ValueError if no request can be sent to the endpoint: no host, an invalid port, a query, a blank."""
    parts = urlsplit(endpoint)
    labels = (parts.hostname or "").removesuffix(".").split(".")
    # `port` raises ValueError if it is not the number of a port.
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
    """Parse the name of a level in any case, or its number."""
    if isinstance(value, str) and not value.isdigit():
        number = logging.getLevelName(value.upper())
        if not isinstance(number, int):
            raise ValueError("unknown level")
        return number
    if isinstance(value, bool) or not isinstance(value, (int, str)) or int(value) < 0:
        raise ValueError("not a level")
    return int(value)


def parse_choice(*choices: str) -> Callable[[Any], str]:
    """Return a parser that accepts one of `choices` in any case."""

    def parse(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or str(value).lower() not in choices:
            raise ValueError("not one of the choices")
        return str(value).lower()

    return parse


def parse_string(value: Any) -> str:
    """Return a string unchanged. Raise TypeError for other types."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def parse_path(value: Any) -> Path:
    """Return a path with `~` expanded."""
    if not isinstance(value, (str, Path)) or not str(value).strip() or "\0" in str(value):
        raise TypeError("not a path")
    return Path(value).expanduser()


def parse_dimensions(value: Any) -> dict[str, object]:
    """Parse a mapping with string keys, or `key=value` pairs separated by commas."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key for key in value):
            raise TypeError("keys must be strings")
        return dict(value)
    pairs = [part.partition("=") for part in parse_string(value).split(",") if part.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise ValueError("not key=value")
    return {key.strip(): part.strip() for key, _, part in pairs}


def parse_list(value: Any) -> tuple[str, ...]:
    """Parse items separated by commas, or an iterable of strings."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise TypeError("not a list")
    return tuple(parse_string(part) for part in value)


def parse_captures(value: Any) -> tuple[str, ...]:
    """Parse the list of captures. `none` is the empty list."""
    captures = tuple(part.lower() for part in parse_list(value))
    if captures == ("none",):
        return ()
    if not set(captures) <= set(CAPTURES):
        raise ValueError("unknown capture")
    return captures


def parse_patterns(value: Any) -> tuple[str, ...]:
    """Parse a list of regular expressions."""
    patterns = parse_list(value)
    for pattern in patterns:
        if not pattern:  # it would match every key
            raise ValueError("empty expression")
        re.compile(pattern)
    return patterns


def patterns_or_words(value: str) -> tuple[str, ...]:
    """Parse a list of regular expressions. Each word in an invalid one is an expression."""
    patterns: list[str] = []
    for pattern in parse_list(value):
        patterns += [pattern] if _is_pattern(pattern) else _WORD.findall(pattern)
    return tuple(patterns)


def _is_pattern(pattern: str) -> bool:
    try:
        parse_patterns([pattern])
    except INVALID as error:
        interrupts.pass_on(error)
        return False
    return True


def none_if_off(none: Any) -> Callable[[str], Any]:
    """Return a fallback: `none` for a string that usually turns something off, such as `off` or `false`."""
    return lambda value: none if value.lower() in _OFF else None


def parse_seconds(value: Any) -> float:
    """Parse a number of seconds from 0 to 3600."""
    if isinstance(value, bool) or not 0 <= float(value) <= 3600:
        raise ValueError("out of range")
    return float(value)


def parse_size(value: Any) -> int:
    """Parse a number of bytes, also with a unit to the base of 1024 (`500 MB`, `2GiB`). The minimum is 1 MiB."""
    allowed = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    match = _SIZE.fullmatch(str(value).strip()) if allowed else None
    if match is None:
        raise ValueError("not a size")
    count, prefix, _ = match.groups()
    size = int(float(count) * 1024 ** " kmgt".index(prefix.lower() or " "))
    if size < 1024**2:
        raise ValueError("too small")
    return size


def parse_switch(value: Any) -> bool:
    """Parse true or false, 1 or 0, also as a bool."""
    return parse_choice("true", "false", "1", "0")(str(value)) in ("true", "1")


def parse_address(value: Any) -> Address:
    """Parse `host:port`, or a port on loopback. The address of IPv6 is in brackets: `[::1]:5678`."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError("not an address")
    match = _ADDRESS.fullmatch(str(value).strip())
    if match is None or int(match["port"]) > 65535:
        raise ValueError("not host:port")
    return Address((match["host"] or "127.0.0.1").strip("[]"), int(match["port"]))


def parse_strict(value: Any) -> str:
    """Parse auto, true or false, also as a bool."""
    return parse_choice("auto", "true", "false")(str(value) if isinstance(value, bool) else value)
