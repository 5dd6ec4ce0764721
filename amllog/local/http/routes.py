"""From a path to the function that answers it.

In: `Route`s (method, pattern, required token, function) and a request. Out: the route that fits, or a 404 / 405.
A pattern has `{name}` for one segment and `{name*}` for the rest; values come percent-decoded and checked.
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
    """What a request must carry for a route."""

    INGESTION = "ingestion"  # this service's token at the beginning of the path
    QUERY = "query"  # the same
    FAULTS = "faults"  # the same
    DISCOVERY = "discovery"  # the same
    RUN = "run"  # a run token, as bearer
    READ_ADDRESS = "read"  # a signed address
    WRITE_ADDRESS = "write"  # the same


class Route(NamedTuple):
    """One operation of a service. `needs` has no default: no route can be open by mistake."""

    method: str
    pattern: str
    needs: Credential
    handle: Callable[[Request, Names], Response]


def find(routes: Sequence[Route], request: Request) -> tuple[Route, Names]:
    """The first route that fits, and the names in the path."""
    fitting = [
        (route, found)
        for route in routes
        for found in [_compiled(route.pattern).fullmatch(request.path)]
        if found
    ]
    for route, found in fitting:
        if route.method == request.method:
            return route, {name: _decoded(value) for name, value in found.groupdict().items()}
    if fitting:
        raise Refusal(405, f"{request.method} is not for {request.path[:200]}")
    raise Refusal(404, f"Nothing answers {request.method} {request.path[:200]} on this machine")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
    return re.compile(re.sub(r"\\\{(\w+)\\\*\\\}", r"(?P<\1>.*)", text), re.IGNORECASE)


def _decoded(value: str) -> str:
    name = unquote(value)
    if len(name) > NAME_MAX or "\x00" in name or "\ufffd" in name:
        raise Refusal(400, f"A name has at most {NAME_MAX} characters, is UTF-8 and has no NUL")
    return name
