"""The resource, workspace or application that is queried, by its id, and the address of its service.

Errors name the argument, its value and the place in the portal that shows the correct one.
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
# New addresses whose tokens still have the old ones as their audience.
_AUDIENCES = {
    "api.loganalytics.azure.com": LOG_ANALYTICS,
    "api.applicationinsights.azure.com": APPLICATIONS,
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class Scope(NamedTuple):
    """A scope of queries: the argument of `connect()` that it came from, the argument's value, and the path of queries.

    `dialects`: those that the service may accept, the more likely one first. `endpoint`: the address of the service.
    `audience`: that of its tokens.
    """

    argument: str
    id: str
    path: str
    dialects: tuple[str, ...]
    endpoint: str
    audience: str

    @property
    def is_loopback(self) -> bool:
        """Return whether the service is on loopback without TLS. It gets no token of Azure."""
        return self.endpoint.startswith("http://")

    def __str__(self) -> str:
        return f"{self.argument}={self.id!r}"


def parse_scope(argument: str, value: str, *, endpoint: str = "", dialect: str = "") -> Scope:
    """Return the scope of an argument of `connect()`, which is a key of `VARIABLES`.

    `dialect`: the only one to use. Raises UsageError for invalid values.
    """
    path, dialects, default_endpoint = _parse_id(argument, value.strip())
    if dialect and dialect not in DIALECTS:
        raise UsageError(f"dialect={dialect!r}: one of {', '.join(DIALECTS)}")
    address = _parse_endpoint(endpoint) if endpoint.strip() else default_endpoint
    audience = _AUDIENCES.get(urlsplit(address).netloc.lower(), address)
    return Scope(argument, value.strip(), path, (dialect,) if dialect else dialects, address, audience)


def _parse_id(argument: str, value: str) -> tuple[str, tuple[str, ...], str]:
    """Return the path, the dialects and the default endpoint."""
    if argument == "resource_id":
        try:
            resource = links.resource(value)
        except UsageError as error:
            raise UsageError(f"{error} (as an argument or in {VARIABLES[argument]})") from None
        resource_dialects = (WORKSPACE,) if resource.is_workspace else DIALECTS
        return quote(resource.id, safe="/()"), resource_dialects, LOG_ANALYTICS
    kinds = {
        "workspace_id": ("workspaces", (WORKSPACE,), LOG_ANALYTICS, "the workspace, Overview, Workspace ID"),
        "app_id": ("apps", DIALECTS, APPLICATIONS, "the Application Insights resource, API Access"),
    }
    kind, dialects, endpoint, place = kinds[argument]
    if not _GUID.fullmatch(value):
        raise UsageError(
            f"{argument}={value!r}: an id such as 01234567-89ab-cdef-0123-456789abcdef "
            f"(portal: {place}), as an argument or in {VARIABLES[argument]}"
        )
    return f"/{kind}/{value}", dialects, endpoint


def _parse_endpoint(endpoint: str) -> str:
    """Return an address without a slash or a version at its end."""
    address = endpoint.strip().rstrip("/")
    address = (address if "://" in address else f"https://{address}").removesuffix("/v1")
    try:
        parts = urlsplit(address)
        is_valid = bool(parts.hostname) and not parts.username and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    is_loopback = is_valid and parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS
    if not is_valid or not (parts.scheme == "https" or is_loopback):
        raise UsageError(
            f"endpoint={endpoint!r} ({variables.QUERY_ENDPOINT}): https://… of a query service "
            f"such as {LOG_ANALYTICS}, or http://127.0.0.1:… on this machine"
        )
    return address
