"""HTTP on loopback: sockets and bytes → `Request` → a handler → `Answer` → bytes.

In: a handler function, the faults. Out: a running server (plain or TLS) that knows nothing of Azure.
It listens on 127.0.0.1 only, refuses what a web page could send it, and caps what it reads.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from amllog.local.faults import FOREVER_SECONDS, Fault, Faults
from amllog.local.message import Answer, Refusal, Request, body_size, refuse_strangers, unzip

IDLE_SECONDS = 120.0


class Side(NamedTuple):
    """What a server serves: who answers, the faults, which service a path belongs to, who hears of each request."""

    answer: Callable[[Request], Answer]
    faults: Faults
    service_of: Callable[[str], str]
    served: Callable[[Request, int, float], None]


class LoopbackServer(ThreadingHTTPServer):
    """A threading HTTP/1.1 server on 127.0.0.1 that can also break off the connections it has."""

    request_queue_size = 128
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, side: Side, tls: ssl.SSLContext | None = None) -> None:
        self.side, self._tls = side, tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
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
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

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
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """The connection is over."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is a mistake of ours, and shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Drops:
    """Writes byte by byte, until the faults are cleared."""

    def __init__(self, wfile: Any, seconds: float, faults: Faults) -> None:
        self._wfile, self._seconds, self._faults = wfile, seconds, faults
        self.closed = False

    def write(self, data: bytes) -> None:
        """Each byte after a pause."""
        for byte in data:
            if self._seconds and self._faults.wait(self._seconds):
                self._seconds = 0.0
            self._wfile.write(bytes([byte]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wfile, name)


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

    def _serve(self) -> None:
        begin = monotonic()
        request = self._request()
        answer = self._read_and_answer(request)
        self.server.side.served(request, answer.status, monotonic() - begin)
        self._send(answer, request.fault or Fault())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def _request(self) -> Request:
        """The request as far as its head tells, with one leading slash: some SDKs send `//v2.1/track`."""
        target = urlsplit("/" + self.requestline.split()[1].lstrip("/"))
        side = self.server.side
        fault = side.faults.take(side.service_of(target.path), target.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        return Request(self.command, target.path, query, headers, b"", fault)

    def _read_and_answer(self, request: Request) -> Answer:
        try:
            refuse_strangers(request.headers.get("host", ""), request.headers.get("origin"))
            body = self._body(request)
        except Refusal as refusal:
            self.close_connection = True  # what is left of the body must not be taken for the next request
            return refusal.answer()
        whole = Request(request.method, request.path, request.query, request.headers, body, request.fault)
        return self._answer(whole, request.fault or Fault())

    def _body(self, request: Request) -> bytes:
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        else:
            body = self._read(body_size(request.headers.get("content-length", "0")))
        return unzip(body) if "gzip" in request.headers.get("content-encoding", "").lower() else body

    def _chunks(self) -> bytes:
        chunks = []
        total = 0
        while True:
            announced = self.rfile.readline(100).partition(b";")[0].decode("ascii", "replace")
            size = body_size(announced, 16, total)
            chunks.append(self._read(size))
            total += size
            self.rfile.readline(100)
            if size == 0:
                return b"".join(chunks)

    def _read(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise Refusal(400, "The body is shorter than announced")
        return body

    def _answer(self, request: Request, fault: Fault) -> Answer:
        if fault.seconds:
            self.server.side.faults.wait(fault.seconds)
        if fault.takes_effect:
            answer = self._ask(request)
        if fault.replaces:
            right = orjson.dumps({"error": {"message": fault.message}})
            return Answer(
                fault.status or 200, right if fault.body is None else fault.body.encode(), fault.headers
            )
        return answer if fault.takes_effect else Answer()

    def _ask(self, request: Request) -> Answer:
        try:
            return self.server.side.answer(request)
        except Refusal as refusal:
            return refusal.answer()

    def _send(self, answer: Answer, fault: Fault) -> None:
        if fault.hang == "before headers":
            return self._hang()
        if fault.drops:
            self.wfile = _Drops(self.wfile, fault.drops, self.server.side.faults)  # type: ignore[assignment]  # it writes
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
