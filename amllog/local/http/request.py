"""Requests and answers as values, and what may be in them.

In: header texts and bytes as they came. Out: `Request`, `Answer`, or a `Refusal` that says what is wrong.
"""

from __future__ import annotations

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
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SIZE = re.compile(r"-?[0-9A-Fa-f]+")
_TOKEN = re.compile(r"/+([\w-]{43})(/.*)", re.ASCII)  # as `secrets.token_urlsafe(32)` writes it


@dataclass(frozen=True)
class Request:
    """One request, its body read and unzipped; `path` is still percent-encoded; header names are lower case.

    `token` preceded the path, and `run_id` is the run whose token was verified. `is_disconnected` tells whether the
    client has left without waiting for the answer.
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
        """The body as JSON; a `Refusal` if it is invalid or nested too deeply to be written again."""
        try:
            value = orjson.loads(self.body)
            orjson.dumps(value)
        except (ValueError, TypeError) as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error
        return value


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: object, status: int = 200) -> Response:
        """An answer whose body is this value as JSON."""
        return cls(status, orjson.dumps(value))


class Refusal(Exception):
    """The answer is an error: status and message, in the shape of Azure ML's services, or with a `body` of its own."""

    def __init__(
        self, status: int, message: str, code: str = "UserError", body: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body

    def answer(self) -> Response:
        """This refusal as it goes over the wire."""
        return Response.of(self.body or {"error": {"code": self.code, "message": self.message}}, self.status)


def unauthorized(status: int, service: str, message: str) -> Refusal:
    """The answer to a missing or wrong token, in the service's own shape."""
    if service == "ingestion":
        error = {"index": 0, "statusCode": status, "message": message}
        return Refusal(status, message, body={"itemsReceived": 0, "itemsAccepted": 0, "errors": [error]})
    code = "InvalidTokenError" if status == 401 else "InsufficientAccessError"
    return Refusal(status, message, code)


def split_token(path: str) -> tuple[str, str]:
    """The token at the beginning of a path ("" if there is none), and the path without it."""
    found = _TOKEN.fullmatch(path)
    token, rest = (found[1], found[2]) if found else ("", path)
    return token, "/" + rest.lstrip("/")  # some SDKs send `//v2.1/track`


def check_origin(hosts: Sequence[str], headers: Mapping[str, str], port: int) -> None:
    """Reject what a web page can send: another Host (DNS rebinding), any Origin, a request from another site."""
    own = {f"{name}:{port}" for name in _OWN_NAMES} | (set(_OWN_NAMES) if port == 80 else set())
    if len(hosts) != 1 or hosts[0].strip().lower() not in own:
        raise Refusal(403, "This server answers to its loopback address only", "Forbidden")
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "This server answers no web page", "Forbidden")


def parse_body_size(text: str, base: int = 10, already: int = 0) -> int:
    """The announced length of a body or chunk; a `Refusal` if it is unreadable or too large."""
    digits = text.strip()
    if not _SIZE.fullmatch(digits):  # int() takes more: 1_0, 0x10, digits of other scripts
        raise Refusal(400, "The body's length is unreadable")
    try:
        size = int(digits, base)
    except ValueError as error:
        raise Refusal(400, "The body's length is unreadable") from error
    if size < 0 or size + already > BODY_MAX_BYTES:
        raise Refusal(413, f"The body is larger than {BODY_MAX_BYTES} bytes", "RequestEntityTooLarge")
    return size


def decompress(body: bytes) -> bytes:
    """A gzip body (one member or several) unzipped; a `Refusal` if it is broken or grows too large."""
    unzipped = b""
    try:
        for _ in range(GZIP_MAX_MEMBERS):
            if not body:
                return unzipped
            member = zlib.decompressobj(wbits=31)
            unzipped += member.decompress(body, UNZIPPED_MAX_BYTES - len(unzipped) + 1)
            if len(unzipped) > UNZIPPED_MAX_BYTES:
                raise Refusal(413, f"The body unzips to more than {UNZIPPED_MAX_BYTES} bytes", "TooLarge")
            if not member.eof:
                raise Refusal(400, "The gzip body ends early")
            body = member.unused_data
    except zlib.error as error:
        raise Refusal(400, f"The gzip body is broken: {error}") from error
    raise Refusal(413, f"The gzip body has more than {GZIP_MAX_MEMBERS} members", "TooLarge")
