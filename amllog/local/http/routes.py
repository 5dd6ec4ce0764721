"""Map the method and path of a request to its handler.

A pattern contains `{name}` for one segment of the path and `{name*}` for the rest. The handler gets the values
percent-decoded and checked. A request without a route is rejected with 404 or 405.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

from amllog.local.http.request import Refusal, Request, Response

NAME_MAX = 5000
WORKSPACE = "/subscriptions/{_s}/resourceGroups/{_r}/providers/{_p}/workspaces/{_w}"

Names = Mapping[str, str]


class Credential(Enum):
    """The credential that a route requires."""

    # The token of the service at the beginning of the path:
    INGESTION = "ingestion"
    QUERY = "query"
    FAULTS = "faults"
    DISCOVERY = "discovery"
    # A run token in the header Authorization:
    RUN = "run"
    # A signed address:
    READ_ADDRESS = "read"
    WRITE_ADDRESS = "write"


class Route(NamedTuple):
    """One operation of a service. `needs` has no default, so that no route is open by mistake."""

    method: str
    pattern: str
    needs: Credential
    handle: Callable[[Request, Names], Response]


def find_route(routes: Sequence[Route], request: Request) -> tuple[Route, Names]:
    """Return the first route that matches, and the names in the path. Raises `Refusal` if none matches."""
    matches = [
        (route, match)
        for route in routes
        for match in [_compiled(route.pattern).fullmatch(request.path)]
        if match
    ]
    for route, match in matches:
        if route.method == request.method:
            return route, {name: _decode_name(value) for name, value in match.groupdict().items()}
    if matches:
        raise Refusal(405, f"{request.method} is not allowed for {request.path[:200]}")
    raise Refusal(404, f"The local Azure has no {request.method} {request.path[:200]}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
    return re.compile(re.sub(r"\\\{(\w+)\\\*\\\}", r"(?P<\1>.*)", text), re.IGNORECASE)


def _decode_name(value: str) -> str:
    name = unquote(value)
    if len(name) > NAME_MAX or "\x00" in name or "\ufffd" in name:
        raise Refusal(400, f"A name has at most {NAME_MAX} characters, is UTF-8 and has no NUL")
    return name
