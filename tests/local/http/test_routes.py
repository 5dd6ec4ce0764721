"""Requests without a matching route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..conftest import Client


def test_other_methods_of_a_route(client: Client) -> None:
    """An existing path with another method is a 405."""
    assert client("DELETE", "/faults").status == 405
    assert client("GET", "/v2.1/track").status == 405


@pytest.mark.parametrize(
    "path",
    ["/history/%00", "/history/%ff", "/" + "x" * 60_000, "/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd"],
)
def test_unknown_paths(client: Client, path: str) -> None:
    """A path that is not a route is a 4xx."""
    assert client("GET", path).status in (400, 404, 414)


@pytest.mark.parametrize("name", ["%00", "a%00b", "%ff", "x" * 5001])
def test_invalid_names_in_paths(client: Client, name: str) -> None:
    """A name in a path must be UTF-8, not too long, and without NUL."""
    assert client.history("GET", f"runs/{name}").status == 400
