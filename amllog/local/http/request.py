"""`Request`, `Response` and `Refusal`, and the limits on them.

A handler raises `Refusal` to send an error. The limits protect the server from requests of any local process.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from amllog.local.faults import Fault

BODY_MAX_BYTES = 128 * 1024 * 1024
UNZIPPED_MAX_BYTES = 256 * 1024 * 1024
GZIP_MAX_MEMBERS = 1000
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_NOT_FINITE = re.compile(rb"NaN|Infinity")
_SIZE = re.compile(r"-?[0-9A-Fa-f]+")
_TOKEN = re.compile(r"/+([\w-]{43})(/.*)", re.ASCII)  # the form of `secrets.token_urlsafe(32)`


@dataclass(frozen=True)
class Request:
    """A request with its decompressed body. `path` is percent-encoded, and the names of headers are lower case.

    `token` preceded the path, and `run_id` is the run whose token was verified. `is_disconnected` returns whether the
    client has closed the connection before the response.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    fault: Fault | None = None
    token: str = field(default="", repr=False)
    run_id: str = ""
    is_disconnected: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)

    def json(self) -> Any:
        """Parse the body as JSON. Raises `Refusal` if it is invalid or nested too deeply to be encoded again."""
        try:
            value = orjson.loads(self.body)
            orjson.dumps(value)
        except (ValueError, TypeError) as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error
        return value

    def json_with_nan(self) -> Any:
        """Parse a body that may contain NaN and infinities, which become strings. azureml writes them, unlike JSON."""
        if not _NOT_FINITE.search(self.body):
            return self.json()
        try:
            value = json.loads(self.body, parse_constant=str)
            orjson.dumps(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error
        return value


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def from_value(cls, value: object, status: int = 200) -> Response:
        """Return a response whose body is a value as JSON."""
        return cls(status, orjson.dumps(value))


class Refusal(Exception):
    """An error response with status and message, in the format of Azure ML's services unless it has a `body`."""

    def __init__(
        self, status: int, message: str, code: str = "UserError", body: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body

    def to_response(self) -> Response:
        """Return the error as a response."""
        return Response.from_value(
            self.body or {"error": {"code": self.code, "message": self.message}}, self.status
        )


def unauthorized(status: int, service: str, message: str) -> Refusal:
    """Return the error for a missing or wrong token, in the format of the service."""
    if service == "ingestion":
        error = {"index": 0, "statusCode": status, "message": message}
        return Refusal(status, message, body={"itemsReceived": 0, "itemsAccepted": 0, "errors": [error]})
    code = "InvalidTokenError" if status == 401 else "InsufficientAccessError"
    return Refusal(status, message, code)


def split_token(path: str) -> tuple[str, str]:
    """Return the token at the beginning of a path, or "", and the path without it."""
    match = _TOKEN.fullmatch(path)
    token, rest = (match[1], match[2]) if match else ("", path)
    return token, "/" + rest.lstrip("/")  # some SDKs send `//v2.1/track`


def check_origin(hosts: Sequence[str], headers: Mapping[str, str], port: int) -> None:
    """Reject requests of web pages: another Host (DNS rebinding), any Origin, or another site."""
    hosts_allowed = {f"{name}:{port}" for name in _LOOPBACK_NAMES} | (
        set(_LOOPBACK_NAMES) if port == 80 else set()
    )
    if len(hosts) != 1 or hosts[0].strip().lower() not in hosts_allowed:
        raise Refusal(403, "This server answers to its loopback address only", "Forbidden")
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "This server answers no web page", "Forbidden")


def parse_body_size(text: str, base: int = 10, already: int = 0) -> int:
    """Return the announced size of a body or chunk in bytes. Raises `Refusal` if it is invalid or too large."""
    digits = text.strip()
    if not _SIZE.fullmatch(digits):  # int() accepts 1_0, 0x10 and digits of other scripts, too
        raise Refusal(400, "The length of the body is invalid")
    try:
        size = int(digits, base)
    except ValueError as error:
        raise Refusal(400, "The length of the body is invalid") from error
    if size < 0 or size + already > BODY_MAX_BYTES:
        raise Refusal(413, f"The body is larger than {BODY_MAX_BYTES} bytes", "RequestEntityTooLarge")
    return size


def decompress(body: bytes) -> bytes:
    """Decompress a gzip body with one or several members. Raises `Refusal` if it is invalid or too large."""
    data = b""
    try:
        for _ in range(GZIP_MAX_MEMBERS):
            if not body:
                return data
            member = zlib.decompressobj(wbits=31)
            data += member.decompress(body, UNZIPPED_MAX_BYTES - len(data) + 1)
            if len(data) > UNZIPPED_MAX_BYTES:
                raise Refusal(
                    413, f"The decompressed body has more than {UNZIPPED_MAX_BYTES} bytes", "TooLarge"
                )
            if not member.eof:
                raise Refusal(400, "The gzip body is truncated")
            body = member.unused_data
    except zlib.error as error:
        raise Refusal(400, f"The gzip body is invalid: {error}") from error
    raise Refusal(413, f"The gzip body has more than {GZIP_MAX_MEMBERS} members", "TooLarge")
