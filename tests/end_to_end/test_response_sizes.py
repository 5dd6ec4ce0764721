"""Answers that take much more memory than their senders sent: gzip of gigabytes, endless bodies, nested encodings."""

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
MOST_KIB = 40 * 1024  # over what the process had before; the bodies below take 400 MB and more
HAS_EXPORTER = importlib.util.find_spec("azure.monitor.opentelemetry") is not None
HAS_QUERY = importlib.util.find_spec("azure.monitor.query") is not None

OFFER = """
import resource, sys, time
from amllog.record import envelope
from amllog.exporters.{module} import {name}
from amllog.config.parsers import parse_connection_string
outlet = {name}(parse_connection_string("InstrumentationKey={key};IngestionEndpoint={url}"))
line = envelope.encode_record(time.time(), {key!r}, {{}}, "MessageData", {{"message": "m", "properties": {{}}}})
outlet.session()
import requests, json
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(2):
    answer = outlet.export([line], 60)
    verdict = answer.exceptions.get(0, answer.default)
    print(verdict.state, verdict.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
ASK = """
import resource
from amllog.errors import ServiceError
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.scope import parse_scope
client = QueryClient(parse_scope("workspace_id", "{key}", endpoint="{url}"), retry_seconds=0)
client._connected()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    client.query("traces", None)
except ServiceError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _zeros() -> bytes:
    """400 MB of NUL, as gzip has them."""
    packed = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    megabyte = b"\0" * 1_000_000
    return b"".join(packed.compress(megabyte) for _ in range(400)) + packed.flush()


def _lists(count: int = 10_000_000) -> bytes:
    """A body of 30 MB that takes 600 MB when it is parsed."""
    return b'{"itemsReceived":1,"errors":[' + b"[]," * count + b"[]]}"


ANSWERS: dict[str, tuple[int, str, Callable[[], bytes]]] = {
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
def far_side() -> Iterator[Callable[..., str]]:
    """Starts a server that gives one answer to each request: `far_side(206, "gzip", body)`; returns its address."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int, encoding: str, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Answer."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                if encoding:
                    self.send_header("Content-Encoding", encoding)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):  # the client has enough
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("answer", ANSWERS)
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
def test_an_answer_beyond_the_limit_is_unreadable(
    far_side: Callable[..., str], child: Any, module: str, name: str, answer: str
) -> None:
    """An answer of any size takes a few megabytes: after 200 records count as delivered, after 206 they wait."""
    status, encoding, body = ANSWERS[answer]
    url = far_side(status, encoding, body())
    ran = child(OFFER.format(module=module, name=name, key=KEY, url=url))
    *told, peak = ran.stdout.splitlines()
    expected = "delivered " if status == 200 else "waiting 206 with an unreadable response"
    assert told == [expected] * 2, ran
    assert int(peak) < MOST_KIB


def test_a_compressed_answer_is_read(far_side: Callable[..., str], child: Any) -> None:
    """What an answer says in gzip counts as if it were plain."""
    body = {"itemsReceived": 1, "errors": [{"index": 0, "statusCode": 400, "message": "invalid"}]}
    url = far_side(206, "gzip", gzip.compress(json.dumps(body).encode()))
    ran = child(
        OFFER.format(module="app_insights.http_exporter", name="AppInsightsExporter", key=KEY, url=url)
    )
    assert ran.stdout.splitlines()[:2] == ["refused 400: invalid"] * 2, ran


@pytest.mark.skipif(not HAS_QUERY, reason="it needs azure-monitor-query")
@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", _zeros), ("gzip, gzip", lambda: gzip.compress(_zeros(), 1))],
    ids=["zeros", "nested"],
)
def test_an_answer_of_the_query_service_is_limited(
    far_side: Callable[..., str], child: Any, encoding: str, body: Callable[[], bytes]
) -> None:
    """An answer of more than 128 MiB is an error that says what to do; it takes no more memory than that."""
    url = far_side(200, encoding, body())
    ran = child(ASK.format(key=KEY, url=url))
    told, peak = ran.stdout.splitlines()
    assert "use a shorter time range" in told, ran
    assert int(peak) < 300 * 1024
