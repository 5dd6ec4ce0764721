"""HTTP on loopback: sockets and bytes → `Request` → a handler → `Answer` → bytes.

In: a function that admits requests, the faults. Out: a running server (plain or TLS) that knows nothing of Azure.
It listens on 127.0.0.1 only, rejects what a web page could send, and caps what it reads and how long that takes.
A request is admitted by its head: without the right token no fault is counted, and its body is not kept.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from amllog.local.faults import FOREVER_SECONDS, Fault, Faults
from amllog.local.http.limited_streams import LimitedHead, SlowWriter
from amllog.local.http.open_connections import BODY_SECONDS, IDLE_SECONDS, OpenConnections, is_disconnected
from amllog.local.http.request import (
    Refusal,
    Request,
    Response,
    check_origin,
    decompress,
    parse_body_size,
    split_token,
)

DISCARD_MAX_BYTES, DISCARD_SECONDS = 8 * 1024 * 1024, 10.0
Handler = Callable[[Request], Response]


class ServerCallbacks(NamedTuple):
    """What a server serves: who admits requests and answers them (a `Refusal` rejects one), the faults, which service
    a path belongs to, who hears of each request."""

    admit: Callable[[Request], tuple[Request, Handler]]
    faults: Faults
    service_of_path: Callable[[str], str]
    served: Callable[[Request, int, float], None]


class LoopbackServer(ThreadingHTTPServer):
    """A threading HTTP/1.1 server on 127.0.0.1 that can also break off the connections it has."""

    request_queue_size = 128
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, side: ServerCallbacks, tls: ssl.SSLContext | None = None) -> None:
        self.side, self._tls = side, tls
        self.connections = OpenConnections()
        super().__init__(("127.0.0.1", port), _Connection)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="amllog-local", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to answer, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break off every connection."""
        self.shutdown()
        self.server_close()
        self.connections.close_all()
        self._thread.join()

    def service_actions(self) -> None:
        """Several times a second: close connections that are too slow."""
        self.connections.close_slow()

    def server_bind(self) -> None:
        """Bind without asking the name service who 127.0.0.1 is."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; with TLS, the handshake waits for the connection's own thread."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """The connection is over."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is a mistake of ours, and shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection: reads requests, asks the side, writes answers, and does the faults."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version = "amllog-local"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the far side keeps its own list of requests."""

    def __getattr__(self, name: str) -> Any:
        """Every method is answered alike: without a token it is rejected."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._serve

    def parse_request(self) -> bool:
        """Read the head, up to a limit: its sender has shown no token yet."""
        whole = self.rfile
        self.rfile = LimitedHead(whole)  # type: ignore[assignment]  # all that the parser calls
        try:
            return super().parse_request()
        finally:
            self.rfile = whole

    def handle_expect_100(self) -> bool:
        """`100 Continue` is sent once the token is checked."""
        return True

    def _serve(self) -> None:
        begin, side = monotonic(), self.server.side
        request = self._request()
        try:
            check_origin(self.headers.get_all("host") or [], request.headers, self.server.port)
            request, handle = side.admit(request)
        except Refusal as refusal:
            answer = self._reject(refusal)
        else:
            self.server.connections.admit(self.connection)
            request = replace(
                request, fault=side.faults.take(side.service_of_path(request.path), request.path)
            )
            answer = self._read_and_answer(request, handle)
        side.served(request, answer.status, monotonic() - begin)
        self._send(answer, request.fault or Fault())
        self.server.connections.allow(self.connection, IDLE_SECONDS)

    def _request(self) -> Request:
        """The request as far as its head tells."""
        target = urlsplit("/" + self.requestline.split()[1].lstrip("/"))
        token, path = split_token(target.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        gone = partial(is_disconnected, self.connection)
        return Request(self.command, path, query, headers, token=token, is_disconnected=gone)

    def _reject(self, refusal: Refusal) -> Response:
        """Read a short body without keeping it: the client then gets the answer and not a broken connection."""
        self.close_connection = True
        self.server.connections.allow(self.connection, DISCARD_SECONDS)
        length = self.headers.get("content-length", "")
        left = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else 0
        while "expect" not in self.headers and 0 < left <= DISCARD_MAX_BYTES:
            read = self.rfile.read1(min(left, 65536))
            left = left - len(read) if read else 0
        return refusal.answer()

    def _read_and_answer(self, request: Request, handle: Handler) -> Response:
        self.server.connections.allow(self.connection, BODY_SECONDS)
        if request.headers.get("expect", "").lower() == "100-continue" and self.request_version >= "HTTP/1.1":
            self.send_response_only(100)
            self.end_headers()
        try:
            body = self._body(request)
        except Refusal as refusal:
            self.close_connection = True  # what is left of the body must not be taken for the next request
            return refusal.answer()
        self.server.connections.allow(self.connection, FOREVER_SECONDS)
        return self._answer(replace(request, body=body), request.fault or Fault(), handle)

    def _body(self, request: Request) -> bytes:
        lengths, coding = self.headers.get_all("content-length") or ["0"], "transfer-encoding"
        if len(lengths) > 1 or ("content-length" in request.headers and coding in request.headers):
            raise Refusal(400, "The body's length is given twice")
        if "chunked" in request.headers.get(coding, "").lower():
            body = self._chunks()
        else:
            body = self._read(parse_body_size(lengths[0]))
        return decompress(body) if "gzip" in request.headers.get("content-encoding", "").lower() else body

    def _chunks(self) -> bytes:
        chunks = bytearray()  # no list: a chunk may be one byte
        while True:
            announced = self.rfile.readline(100).partition(b";")[0].decode("ascii", "replace")
            size = parse_body_size(announced, 16, len(chunks))
            chunks += self._read(size)
            self.rfile.readline(100)
            if size == 0:
                return bytes(chunks)

    def _read(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise Refusal(400, "The body is shorter than announced")
        return body

    def _answer(self, request: Request, fault: Fault, handle: Handler) -> Response:
        if fault.seconds:
            self.server.side.faults.wait(fault.seconds)
        if fault.takes_effect:
            answer = self._ask(request, handle)
        if fault.replaces:
            right = orjson.dumps({"error": {"message": fault.message}})
            return Response(
                fault.status or 200, right if fault.body is None else fault.body.encode(), fault.headers
            )
        return answer if fault.takes_effect else Response()

    def _ask(self, request: Request, handle: Handler) -> Response:
        try:
            return handle(request)
        except Refusal as refusal:
            return refusal.answer()

    def _send(self, answer: Response, fault: Fault) -> None:
        if fault.hang == "before headers":
            return self._hang()
        if fault.drops:
            self.wfile = SlowWriter(self.wfile, fault.drops, self.server.side.faults)  # type: ignore[assignment]  # it writes
            self.close_connection = True
        self.send_response(answer.status)
        announced = len(answer.body) + (1 if fault.close or fault.hang else 0)  # more than will ever come
        head = {"Content-Type": answer.content_type, "Content-Length": str(announced)}
        if self.close_connection:
            head["Connection"] = "close"
        for name, value in {**head, **answer.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if fault.hang:
            return self._hang()
        self.close_connection = self.close_connection or fault.close
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if fault.close else answer.body)
        return None

    def _hang(self) -> None:
        self.server.side.faults.wait(FOREVER_SECONDS)
        self.close_connection = True
