"""Responses that would need much memory: gzip of gigabytes, endless bodies, nested encodings."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "00000000-0000-0000-0000-0000000010ca"
MAX_KIB = 40 * 1024  # growth of the process, while the bodies below need 400 MB and more
HAS_EXPORTER = importlib.util.find_spec("azure.monitor.opentelemetry") is not None
HAS_QUERY = importlib.util.find_spec("azure.monitor.query") is not None

EXPORT = """
import resource, sys, time
from amllog.record import envelope
from amllog.exporters.{module} import {name}
from amllog.config.parsers import parse_connection_string
exporter = {name}(parse_connection_string("InstrumentationKey={key};IngestionEndpoint={url}"))
line = envelope.encode_record(time.time(), {key!r}, {{}}, "MessageData", {{"message": "m", "properties": {{}}}})
exporter.session()
import requests, json
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(2):
    result = exporter.export([line], 60)
    verdict = result.exceptions.get(0, result.default)
    print(verdict.state, verdict.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
QUERY = """
import resource
from amllog.errors import ServiceError
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.scope import parse_scope
client = QueryClient(parse_scope("workspace_id", "{key}", endpoint="{url}"), retry_seconds=0)
client._connect()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    client.query("traces", None)
except ServiceError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _zeros() -> bytes:
    """Return 400 MB of NUL in gzip."""
    packed = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    megabyte = b"\0" * 1_000_000
    return b"".join(packed.compress(megabyte) for _ in range(400)) + packed.flush()


def _lists(count: int = 10_000_000) -> bytes:
    """Return a body of 30 MB that takes 600 MB when it is parsed."""
    return b'{"itemsReceived":1,"errors":[' + b"[]," * count + b"[]]}"


RESPONSES: dict[str, tuple[int, str, Callable[[], bytes]]] = {
    "zeros": (200, "gzip", _zeros),
    "zeros of a 206": (206, "gzip", _zeros),
    "lists": (206, "", _lists),
    "packed lists": (206, "gzip", lambda: gzip.compress(_lists(), 1)),
    "lists of 2 MB": (206, "", lambda: _lists(690_000)),
    "nested": (206, "gzip, gzip", lambda: gzip.compress(_zeros(), 1)),
    "torn": (206, "gzip", lambda: gzip.compress(b'{"itemsReceived":1,"errors":[]}')[:-9]),
    "an unknown encoding": (206, "br", lambda: b"\0" * 100),
}


@pytest.fixture
def server_with() -> Iterator[Callable[..., str]]:
    """Return a function that starts a server: `server_with(206, "gzip", body)` returns its address."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int, encoding: str, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Send the response."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                if encoding:
                    self.send_header("Content-Encoding", encoding)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):  # the client has closed the connection
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Suppress the log line."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("app_insights.http_exporter", "AppInsightsExporter"),
        pytest.param(
            "app_insights.otel_exporter",
            "OpenTelemetryExporter",
            marks=pytest.mark.skipif(not HAS_EXPORTER, reason="it needs Python 3.10"),
        ),
    ],
)
def test_a_response_beyond_the_limit_is_unreadable(
    server_with: Callable[..., str], child: Any, module: str, name: str, response: str
) -> None:
    """A response of any size takes a few megabytes. After 200 records count as delivered, after 206 they wait."""
    status, encoding, body = RESPONSES[response]
    url = server_with(status, encoding, body())
    ran = child(EXPORT.format(module=module, name=name, key=KEY, url=url))
    *results, peak = ran.stdout.splitlines()
    expected = "delivered " if status == 200 else "waiting 206 with an unreadable response"
    assert results == [expected] * 2, ran
    assert int(peak) < MAX_KIB


def test_a_compressed_response_is_read(server_with: Callable[..., str], child: Any) -> None:
    """A gzipped response has the same effect as a plain one."""
    body = {"itemsReceived": 1, "errors": [{"index": 0, "statusCode": 400, "message": "invalid"}]}
    url = server_with(206, "gzip", gzip.compress(json.dumps(body).encode()))
    ran = child(
        EXPORT.format(module="app_insights.http_exporter", name="AppInsightsExporter", key=KEY, url=url)
    )
    assert ran.stdout.splitlines()[:2] == ["refused 400: invalid"] * 2, ran


@pytest.mark.skipif(not HAS_QUERY, reason="it needs azure-monitor-query")
@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", _zeros), ("gzip, gzip", lambda: gzip.compress(_zeros(), 1))],
    ids=["zeros", "nested"],
)
def test_a_response_of_the_query_service_is_limited(
    server_with: Callable[..., str], child: Any, encoding: str, body: Callable[[], bytes]
) -> None:
    """A response of more than 128 MiB is an error with a remedy, and takes no more memory than that."""
    url = server_with(200, encoding, body())
    ran = child(QUERY.format(key=KEY, url=url))
    message, peak = ran.stdout.splitlines()
    assert "use a shorter time range" in message, ran
    assert int(peak) < 300 * 1024
