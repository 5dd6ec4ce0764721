"""Requests and answers as values, and what may be in them.

In: header texts and bytes as they came. Out: `Request`, `Answer`, or a `Refusal` that says what is wrong.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from amllog.local.faults import Fault

BODY_MAX_BYTES = 128 * 1024 * 1024
UNZIPPED_MAX_BYTES = 256 * 1024 * 1024
GZIP_MAX_MEMBERS = 1000
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Request:
    """One request, its body read and unzipped; `path` is still percent-encoded; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: Fault | None = None

    def json(self) -> Any:
        """The body as JSON; a `Refusal` if it is none."""
        try:
            return orjson.loads(self.body)
        except ValueError as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: object, status: int = 200) -> Answer:
        """An answer whose body is this value as JSON."""
        return cls(status, orjson.dumps(value))


class Refusal(Exception):
    """The answer is an error: status and message, in the shape of Azure ML's services."""

    def __init__(self, status: int, message: str, code: str = "UserError") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def answer(self) -> Answer:
        """This refusal as it goes over the wire."""
        return Answer.of({"error": {"code": self.code, "message": self.message}}, self.status)


def refuse_strangers(host: str, origin: str | None) -> None:
    """DNS rebinding and other people's web pages: only loopback names pass, as Host and as Origin."""
    if not _is_own(host):
        raise Refusal(403, "This server answers to its loopback address only", "Forbidden")
    if origin is not None and not _is_own(urlsplit(origin).netloc):
        raise Refusal(403, "This server answers no web page of another origin", "Forbidden")


def _is_own(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() in _OWN_NAMES


def body_size(text: str, base: int = 10, already: int = 0) -> int:
    """The announced length of a body or chunk; a `Refusal` if it is unreadable or too large."""
    try:
        size = int(text.strip(), base)
    except ValueError as error:
        raise Refusal(400, "The body's length is unreadable") from error
    if size < 0 or size + already > BODY_MAX_BYTES:
        raise Refusal(413, f"The body is larger than {BODY_MAX_BYTES} bytes", "RequestEntityTooLarge")
    return size


def unzip(body: bytes) -> bytes:
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
