"""A far side per test, and a plain HTTP client that can also send what no SDK would."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from amllog.local import AzureOnThisMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

WORKSPACE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"


NONE: Mapping[str, str] = {}


def token_of(azure: AzureOnThisMachine, path: str) -> str:
    """What stands before this path in the addresses that clients are given: a slash and a token, or nothing."""
    places = {"/v2": azure.ingestion_endpoint, "/v1/": azure.query_endpoint, "/faults": azure.faults_url[:-7]}
    places.update({"/workspaces/": azure.query_endpoint, "/apps/": azure.query_endpoint})
    address = next(
        (address for begin, address in places.items() if path.lstrip("/").startswith(begin[1:])), ""
    )
    return address[len(azure.url) :]


class Reply(NamedTuple):
    """An answer: status, headers, body, and the body as JSON where it is some."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a far side."""

    def __init__(self, azure: AzureOnThisMachine) -> None:
        self.azure = azure
        self.connection = http.client.HTTPConnection(azure.url.partition("//")[2], timeout=300)

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request (bytes as they are, anything else as JSON) with the tokens that clients of this path have."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.azure.run_token(next(reversed(self.azure.runs), "run_1"))
        return self.bare(
            method, token_of(self.azure, path) + path, body, {"Authorization": f"Bearer {token}", **named}
        )

    def bare(self, method: str, path: str, body: object = None, headers: Mapping[str, str] = NONE) -> Reply:
        """Send a request with these headers and no tokens."""
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
    """Azure on this machine, answering."""
    with AzureOnThisMachine(tmp_path / "azure") as azure:
        yield azure


@pytest.fixture
def make_client() -> Iterator[Callable[[AzureOnThisMachine], Client]]:
    """Makes clients, each with a connection of its own."""
    made: list[Client] = []

    def make(azure: AzureOnThisMachine) -> Client:
        made.append(Client(azure))
        return made[-1]

    yield make
    for client in made:
        client.connection.close()


@pytest.fixture
def client(azure: AzureOnThisMachine, make_client: Callable[[AzureOnThisMachine], Client]) -> Client:
    """A client of it."""
    return make_client(azure)


@pytest.fixture
def run(azure: AzureOnThisMachine) -> str:
    """The id of a run that is registered."""
    azure.job_environment(run_id="run_1", step_name="train")
    return "run_1"
