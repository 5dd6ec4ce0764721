"""The loopback HTTP server, with or without TLS. It contains nothing that is specific to Azure.

The server listens on 127.0.0.1 only, rejects requests of web pages, and limits the size and the time of requests.
A request without a valid token in its head is rejected: its body is not kept, and no fault is counted for it.
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
    """The functions that a server calls, and the faults.

    `admit` returns an admitted request and its handler, or raises `Refusal`. `service_of_path` returns the name that
    faults have for a service. `log_request` gets a request, and the status and the seconds of its response.
    """

    admit: Callable[[Request], tuple[Request, Handler]]
    faults: Faults
    service_of_path: Callable[[str], str]
    log_request: Callable[[Request, int, float], None]


class LoopbackServer(ThreadingHTTPServer):
    """A threading HTTP/1.1 server on 127.0.0.1 that can close its open connections."""

    request_queue_size = 128
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, callbacks: ServerCallbacks, tls: ssl.SSLContext | None = None) -> None:
        self.callbacks, self._tls = callbacks, tls
        self.connections = OpenConnections()
        super().__init__(("127.0.0.1", port), _Connection)
        serve = partial(self.serve_forever, 0.05)
        self._thread = threading.Thread(target=serve, name="amllog-local", daemon=True)

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Answer requests in a new thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self.shutdown()
        self.server_close()
        self.connections.close_all()
        self._thread.join()

    def service_actions(self) -> None:
        """Close slow connections. `serve_forever` calls this several times per second."""
        self.connections.close_overdue()

    def server_bind(self) -> None:
        """Bind the socket without a lookup of the name of 127.0.0.1, which may be slow."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. With TLS, the thread of the connection makes the handshake."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections. Print the traceback of any other exception, which is our error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection: read requests, call their handlers, write responses, and apply faults."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version = "amllog-local"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing. `ServerCallbacks.log_request` keeps the list of requests."""

    def __getattr__(self, name: str) -> Any:
        """Return the same handler for every HTTP method, so that each of them needs a token."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._serve

    def parse_request(self) -> bool:
        """Read the head up to a limit, because its sender has shown no token yet."""
        stream = self.rfile
        self.rfile = LimitedHead(stream)  # type: ignore[assignment]  # it has the methods that are called
        try:
            return super().parse_request()
        finally:
            self.rfile = stream

    def handle_expect_100(self) -> bool:
        """Do not send `100 Continue` yet. It is sent after the check of the token."""
        return True

    def _serve(self) -> None:
        began, callbacks = monotonic(), self.server.callbacks
        request = self._request()
        try:
            check_origin(self.headers.get_all("host") or [], request.headers, self.server.port)
            request, handle = callbacks.admit(request)
        except Refusal as refusal:
            response = self._reject(refusal)
        else:
            self.server.connections.mark_authenticated(self.connection)
            service = callbacks.service_of_path(request.path)
            request = replace(request, fault=callbacks.faults.take(service, request.path))
            response = self._read_and_respond(request, handle)
        callbacks.log_request(request, response.status, monotonic() - began)
        self._send(response, request.fault or Fault())
        self.server.connections.set_timeout(self.connection, IDLE_SECONDS)

    def _request(self) -> Request:
        """Return the request without its body."""
        target = urlsplit("/" + self.requestline.split()[1].lstrip("/"))
        token, path = split_token(target.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        disconnected = partial(is_disconnected, self.connection)
        return Request(self.command, path, query, headers, token=token, is_disconnected=disconnected)

    def _reject(self, refusal: Refusal) -> Response:
        """Read and discard a short body, so that the client gets the response instead of a broken connection."""
        self.close_connection = True
        self.server.connections.set_timeout(self.connection, DISCARD_SECONDS)
        length = self.headers.get("content-length", "")
        remaining = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else 0
        while "expect" not in self.headers and 0 < remaining <= DISCARD_MAX_BYTES:
            read = self.rfile.read1(min(remaining, 65536))
            remaining = remaining - len(read) if read else 0
        return refusal.to_response()

    def _read_and_respond(self, request: Request, handle: Handler) -> Response:
        self.server.connections.set_timeout(self.connection, BODY_SECONDS)
        if request.headers.get("expect", "").lower() == "100-continue" and self.request_version >= "HTTP/1.1":
            self.send_response_only(100)
            self.end_headers()
        try:
            body = self._body(request)
        except Refusal as refusal:
            self.close_connection = True  # the rest of the body must not be parsed as the next request
            return refusal.to_response()
        self.server.connections.set_timeout(self.connection, FOREVER_SECONDS)
        return self._respond(replace(request, body=body), request.fault or Fault(), handle)

    def _body(self, request: Request) -> bytes:
        lengths, coding = self.headers.get_all("content-length") or ["0"], "transfer-encoding"
        if len(lengths) > 1 or ("content-length" in request.headers and coding in request.headers):
            raise Refusal(400, "The request has two lengths of its body")
        if "chunked" in request.headers.get(coding, "").lower():
            body = self._chunks()
        else:
            body = self._read(parse_body_size(lengths[0]))
        return decompress(body) if "gzip" in request.headers.get("content-encoding", "").lower() else body

    def _chunks(self) -> bytes:
        chunks = bytearray()  # not a list, because a chunk may have one byte
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

    def _respond(self, request: Request, fault: Fault, handle: Handler) -> Response:
        if fault.seconds:
            self.server.callbacks.faults.wait(fault.seconds)
        if fault.takes_effect:
            response = self._call(request, handle)
        if fault.replaces:
            default = orjson.dumps({"error": {"message": fault.message}})
            body = default if fault.body is None else fault.body.encode()
            return Response(fault.status or 200, body, fault.headers)
        return response if fault.takes_effect else Response()

    def _call(self, request: Request, handle: Handler) -> Response:
        try:
            return handle(request)
        except Refusal as refusal:
            return refusal.to_response()

    def _send(self, response: Response, fault: Fault) -> None:
        if fault.hang == "before headers":
            return self._hang()
        if fault.drops:
            self.wfile = SlowWriter(self.wfile, fault.drops, self.server.callbacks.faults)  # type: ignore[assignment]  # it has write()
            self.close_connection = True
        self.send_response(response.status)
        announced = len(response.body) + (fault.close or bool(fault.hang))  # more than is sent
        head = {"Content-Type": response.content_type, "Content-Length": str(announced)}
        close = {"Connection": "close"} if self.close_connection else {}
        for name, value in {**head, **close, **response.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if fault.hang:
            return self._hang()
        self.close_connection = self.close_connection or fault.close
        if self.command != "HEAD":
            self.wfile.write(response.body[: len(response.body) // 2] if fault.close else response.body)
        return None

    def _hang(self) -> None:
        self.server.callbacks.faults.wait(FOREVER_SECONDS)
        self.close_connection = True
