"""What is asked at the service: an Application Insights resource, a workspace or an application, by its id.

In: ids and an address as people give them. Out: a `Scope`: its path, its addresses, its names for the tables.
UsageError names the argument, its value and where the right one is found.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from amllog.config import variables
from amllog.errors import UsageError
from amllog.insights import links

CLASSIC, WORKSPACE = "classic", "workspace"  # traces and customDimensions, or AppTraces and Properties
DIALECTS = (CLASSIC, WORKSPACE)
LOG_ANALYTICS, APPLICATIONS = "https://api.loganalytics.io", "https://api.applicationinsights.io"
VARIABLES = {
    "resource_id": variables.RESOURCE_ID,
    "workspace_id": variables.WORKSPACE_ID,
    "app_id": variables.APP_ID,
}
# New addresses, for which tokens are still made out to the old ones.
_AUDIENCES = {
    "api.loganalytics.azure.com": LOG_ANALYTICS,
    "api.applicationinsights.azure.com": APPLICATIONS,
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Scope(NamedTuple):
    """Whom to ask: which argument gave it, its value, the path of its queries, the dialects that may fit, the first
    first; the service's address and the audience of its tokens."""

    argument: str
    id: str
    path: str
    dialects: tuple[str, ...]
    endpoint: str
    audience: str

    @property
    def is_loopback(self) -> bool:
        """Whether the service is on loopback without TLS: no token of Azure goes there."""
        return self.endpoint.startswith("http://")

    def __str__(self) -> str:
        return f"{self.argument}={self.id!r}"


def parse_scope(argument: str, value: str, *, endpoint: str = "", dialect: str = "") -> Scope:
    """The scope that `argument` (a key of `VARIABLES`) names; `dialect` where it is not the usual one."""
    path, dialects, usual = _found(argument, value.strip())
    if dialect and dialect not in DIALECTS:
        raise UsageError(f"dialect={dialect!r}: one of {', '.join(DIALECTS)}")
    address = _address(endpoint) if endpoint.strip() else usual
    audience = _AUDIENCES.get(urlsplit(address).netloc.lower(), address)
    return Scope(argument, value.strip(), path, (dialect,) if dialect else dialects, address, audience)


def _found(argument: str, value: str) -> tuple[str, tuple[str, ...], str]:
    """Path, dialects, usual address."""
    if argument == "resource_id":
        try:
            resource = links.resource(value)
        except UsageError as error:
            raise UsageError(f"{error}; as an argument or in {VARIABLES[argument]}") from None
        return (
            quote(resource.id, safe="/()"),
            (WORKSPACE,) if resource.is_workspace else DIALECTS,
            LOG_ANALYTICS,
        )
    kinds = {
        "workspace_id": ("workspaces", (WORKSPACE,), LOG_ANALYTICS, "the workspace, Overview, Workspace ID"),
        "app_id": ("apps", DIALECTS, APPLICATIONS, "the Application Insights resource, API Access"),
    }
    kind, dialects, usual, place = kinds[argument]
    if not _GUID.fullmatch(value):
        raise UsageError(
            f"{argument}={value!r}: an id such as 01234567-89ab-cdef-0123-456789abcdef (portal: {place}); "
            f"as an argument or in {VARIABLES[argument]}"
        )
    return f"/{kind}/{value}", dialects, usual


def _address(endpoint: str) -> str:
    """An address without a slash or a version at its end."""
    text = endpoint.strip().rstrip("/")
    text = (text if "://" in text else f"https://{text}").removesuffix("/v1")
    try:
        parts = urlsplit(text)
        is_fine = bool(parts.hostname) and not parts.username and (parts.port or 1) > 0
    except ValueError:
        is_fine = False
    if not is_fine or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _THIS_MACHINE)
    ):
        raise UsageError(
            f"endpoint={endpoint!r} ({variables.QUERY_ENDPOINT}): https://… of a query service "
            f"such as {LOG_ANALYTICS}, or http://127.0.0.1:… on this machine"
        )
    return text
