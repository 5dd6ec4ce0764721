"""Limits of whole HTTP responses."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from amllog.exporters.http_deadline import UNREADABLE, bound_responses, verify_sockets
from amllog.process.own_work import sending


class Handler(http.server.BaseHTTPRequestHandler):
    """A service that returns as many bytes as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond."""
        body = b"x" * int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Start a service, and return its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_longer_response_is_replaced(url: str) -> None:
    """A response within the limit is unchanged, and a longer one is replaced."""
    session = bound_responses(requests.Session(), max_bytes=1_000)
    assert session.get(f"{url}/1000", timeout=60).content == b"x" * 1_000
    assert session.get(f"{url}/1001", timeout=60).content == UNREADABLE
    assert session.get(f"{url}/3", timeout=60).content == b"xxx"


def test_session_is_adapted_once(url: str) -> None:
    """A second call changes nothing, and a session whose sockets are only verified keeps any response."""
    session = bound_responses(requests.Session())
    pools = session.get_adapter(url).poolmanager.pool_classes_by_scheme
    assert bound_responses(session) is session
    assert session.get_adapter(url).poolmanager.pool_classes_by_scheme == pools
    verified = verify_sockets(requests.Session())
    assert verified.get(f"{url}/5000", timeout=60).content == b"x" * 5_000


@pytest.fixture
def printed_requests() -> Iterator[None]:
    """Print the requests of this process, as a script does to find an error."""
    before = http.client.HTTPConnection.debuglevel
    http.client.HTTPConnection.debuglevel = 1
    yield
    http.client.HTTPConnection.debuglevel = before


@pytest.mark.usefixtures("printed_requests")
def test_http_client_prints_no_request_of_amllog(url: str, capsys: Any) -> None:
    """The level that a script sets to print requests, with their headers, applies to its own requests only."""
    session = bound_responses(requests.Session())
    with sending():
        assert session.get(f"{url}/3", timeout=60).content == b"xxx"
    assert capsys.readouterr().out == ""
    session.get(f"{url}/3", timeout=60)
    assert "send: " in capsys.readouterr().out
