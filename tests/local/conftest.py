"""A local Azure per test, and an HTTP client that can send requests that no SDK sends."""

from __future__ import annotations

import http.client
import json
import socket
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from amllog.local import AzureOnThisMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

WORKSPACE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"


NONE: Mapping[str, str] = {}
EVENT = {
    "name": "Microsoft.ApplicationInsights.Event",
    "time": datetime.now(timezone.utc).isoformat(),
    "iKey": "00000000-0000-0000-0000-0000000010ca",
    "data": {"baseType": "EventData", "baseData": {"ver": 2, "name": "e"}},
}
TRACK = ("POST", "/v2.1/track", [EVENT])


def token_of(azure: AzureOnThisMachine, path: str) -> str:
    """Return the part of the path before `path` in the addresses of clients: a slash and the token, or ""."""
    addresses = {
        "/v2": azure.ingestion_endpoint,
        "/v1/": azure.query_endpoint,
        "/faults": azure.faults_url[:-7],
    }
    addresses.update({"/workspaces/": azure.query_endpoint, "/apps/": azure.query_endpoint})
    address = next(
        (address for beginning, address in addresses.items() if path.lstrip("/").startswith(beginning[1:])),
        "",
    )
    return address[len(azure.url) :]


class Reply(NamedTuple):
    """A response: the status, the headers, the body, and the body parsed as JSON."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client with one connection to the local Azure."""

    def __init__(self, azure: AzureOnThisMachine) -> None:
        self.azure = azure
        self.connection = http.client.HTTPConnection(azure.url.partition("//")[2], timeout=300)

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request (bytes unchanged, other values as JSON) with the tokens that clients of this path have."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.azure.run_token(next(reversed(self.azure.runs), "run_1"))
        return self.bare(
            method, token_of(self.azure, path) + path, body, {"Authorization": f"Bearer {token}", **fields}
        )

    def bare(self, method: str, path: str, body: object = None, headers: Mapping[str, str] = NONE) -> Reply:
        """Send a request with these headers and without tokens."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.connection.request(method, path, sent, dict(headers))
        reply = self.connection.getresponse()
        return Reply(reply.status, dict(reply.headers), reply.read())

    def history(self, method: str, path: str, body: object = None) -> Reply:
        return self(method, f"/history/v1.0{WORKSPACE}/{path}", body)

    def metric(self, path: str, body: object = None) -> Reply:
        return self("POST", f"/metric/v2.0{WORKSPACE}/{path}", body)

    def artifact(self, method: str, path: str, body: object = None) -> Reply:
        return self(method, f"/artifact/v2.0{WORKSPACE}/artifacts/{path}", body)


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[AzureOnThisMachine]:
    """A running local Azure."""
    with AzureOnThisMachine(tmp_path / "azure") as azure:
        yield azure


@pytest.fixture
def make_client() -> Iterator[Callable[[AzureOnThisMachine], Client]]:
    """A function that creates clients, each with its own connection."""
    clients: list[Client] = []

    def make(azure: AzureOnThisMachine) -> Client:
        clients.append(Client(azure))
        return clients[-1]

    yield make
    for client in clients:
        client.connection.close()


@pytest.fixture
def client(azure: AzureOnThisMachine, make_client: Callable[[AzureOnThisMachine], Client]) -> Client:
    """A client of the local Azure."""
    return make_client(azure)


@pytest.fixture
def run(azure: AzureOnThisMachine) -> str:
    """The id of a registered run."""
    azure.job_environment(run_id="run_1", step_name="train")
    return "run_1"


def faults_path(azure: AzureOnThisMachine) -> str:
    """Return the path of the faults, with its token."""
    return azure.faults_url[len(azure.url) :]


def request_head(azure: AzureOnThisMachine, method: str, path: str, *lines: str) -> bytes:
    """Return the head of a request with these header lines."""
    host = azure.url.partition("//")[2]
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", "")).encode("latin-1")


def send_bytes(azure: AzureOnThisMachine, text: bytes) -> bytes:
    """Send bytes and return everything that is received until the connection ends."""
    port = int(azure.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
