"""The log of requests, and faults of rejected requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amllog.local import AzureOnThisMachine, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]


def test_rejected_requests_use_up_no_faults(azure: AzureOnThisMachine, make_client: MakeClient) -> None:
    """Only requests with a valid token count for a fault."""
    azure.faults.put(Fault(status=503, times=1))
    assert make_client(azure).bare("POST", "/v2.1/track", []).status == 401
    assert make_client(azure)("POST", "/v2.1/track", []).status == 503


def test_requests_are_logged(azure: AzureOnThisMachine, client: Client) -> None:
    """The log has the service, path and status of each request, and its paths contain no tokens."""
    client("POST", "/v2.1/track", [])
    client("GET", "/nothing")
    assert [request[1:5] for request in azure.requests_log] == [
        ("ingestion", "POST", "/v2.1/track", 400),
        ("run_history", "GET", "/nothing", 404),
    ]
