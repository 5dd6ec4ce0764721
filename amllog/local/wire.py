"""HTTP on loopback: sockets and bytes → `Request` → a handler → `Answer` → bytes.

In: a handler function, the faults. Out: a running server (plain or TLS) that knows nothing of Azure.
It listens on 127.0.0.1 only, refuses what a web page could send it, and caps what it reads.
"""

from __future__ import annotations

import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional
from urllib.parse import parse_qsl, urlsplit

import orjson

from amllog.local.faults import FOREVER_SECONDS, Fault, Faults

BODY_MAX_BYTES = 128 * 1024 * 1024
UNZIPPED_MAX_BYTES = 256 * 1024 * 1024
GZIP_MAX_MEMBERS = 1000
IDLE_SECONDS = 120.0
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Request:
    """One request, its body read and unzipped; `path` is still percent-encoded; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    fault: Optional[Fault] = None

    def json(self) -> Any:
        """The body as JSON; a `Refusal` if it is none."""
        try:
            return orjson.loads(self.body)
        except ValueError as error:
            raise Refusal(400, f"Invalid JSON: {error}") from error


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: object, status: int = 200, **headers: str) -> Answer:
        """An answer whose body is this value as JSON."""
        return cls(status, orjson.dumps(value), headers)


class Refusal(Exception):
    """The answer is an error: status and message, in the shape of Azure ML's services."""

    def __init__(self, status: int, message: str, code: str = "UserError") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def answer(self) -> Answer:
        """This refusal as it goes over the wire."""
        return Answer.of({"error": {"code": self.code, "message": self.message}}, self.status)


Handler = Callable[[Request], Answer]
ServiceOf = Callable[[str], str]


class LoopbackServer(ThreadingHTTPServer):
    """A threading HTTP/1.1 server on 127.0.0.1 that can also break off the connections it has."""

    request_queue_size = 128
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        port: int,
        handle: Handler,
        faults: Faults,
        service_of: ServiceOf,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        self.handle_azure, self.faults, self.service_of, self._tls = handle, faults, service_of, tls
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
                _break_off(connection)
        self._thread.join()

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
        """A connection that the client broke is no event for us."""


def _break_off(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was faster


class _Connection(BaseHTTPRequestHandler):
    """One connection: reads requests, asks the handler, writes answers, and does the faults."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    server_version = "amllog-local"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the far side keeps its own list of requests."""

    def _serve(self) -> None:
        fault = None
        try:
            self._refuse_strangers()
            target = urlsplit(self._target())
            body = self._body()
            fault = self.server.faults.take(self.server.service_of(target.path), target.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(target.query, keep_blank_values=True))
            answer = self._answer(Request(self.command, target.path, query, headers, body, fault))
        except Refusal as refusal:
            self.close_connection = True
            answer = refusal.answer()
        self._send(answer, fault or Fault())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _target(self) -> str:
        """The request's target with one leading slash: some SDKs send `//v2.1/track`."""
        target = self.requestline.split()[1]
        return "/" + target.lstrip("/") if target.startswith("/") else urlsplit(target).path

    def _refuse_strangers(self) -> None:
        """DNS rebinding and other people's web pages: only loopback names, as Host and as Origin."""
        if not _is_own(self.headers.get("Host", "")):
            raise Refusal(403, "This server answers to its loopback address only", "Forbidden")
        origin = self.headers.get("Origin")
        if origin is not None and not _is_own(urlsplit(origin).netloc):
            raise Refusal(403, "This server answers no web page of another origin", "Forbidden")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = self._chunks()
        else:
            body = self._read(_size(self.headers.get("Content-Length", "0"), 10))
        if "gzip" in self.headers.get("Content-Encoding", "").lower():
            return unzip(body)
        return body

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size = _size(
                self.rfile.readline(100).partition(b";")[0].decode("ascii", "replace"), 16, len(body)
            )
            body += self._read(size)
            self.rfile.readline(100)
            if size == 0:
                return body

    def _read(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise Refusal(400, "The body is shorter than announced")
        return body

    def _answer(self, request: Request) -> Answer:
        fault = request.fault or Fault()
        if fault.seconds:
            self.server.faults.wait(fault.seconds)
        if fault.carried_out or not (fault.replaces or fault.hang == "before headers"):
            answer = self._ask(request)
        else:
            answer = Answer()
        if fault.replaces:
            body = (
                fault.body
                if fault.body is not None
                else orjson.dumps({"error": {"message": fault.message}}).decode()
            )
            return Answer(fault.status or 200, body.encode(), fault.headers)
        return answer

    def _ask(self, request: Request) -> Answer:
        try:
            return self.server.handle_azure(request)
        except Refusal as refusal:
            return refusal.answer()

    def _send(self, answer: Answer, fault: Fault) -> None:
        if fault.hang == "before headers":
            return self._hang()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body) + fault.close))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if fault.hang:
            return self._hang()
        self.close_connection = self.close_connection or fault.close
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if fault.close else answer.body)

    def _hang(self) -> None:
        self.wfile.flush()
        self.server.faults.wait(FOREVER_SECONDS)
        self.close_connection = True


def _is_own(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() in _OWN_NAMES


def _size(text: str, base: int, already: int = 0) -> int:
    try:
        size = int(text.strip(), base)
    except ValueError as error:
        raise Refusal(400, "The body's length is unreadable") from error
    if size < 0 or size + already > BODY_MAX_BYTES:
        raise Refusal(413, f"The body is larger than {BODY_MAX_BYTES} bytes", "RequestEntityTooLarge")
    return size


def unzip(body: bytes) -> bytes:
    """A gzip body (one member or several) unzipped; a `Refusal` if it is broken or grows too large."""
    unzipped = b""
    try:
        for _ in range(GZIP_MAX_MEMBERS):
            if not body:
                return unzipped
            member = zlib.decompressobj(wbits=31)
            unzipped += member.decompress(body, UNZIPPED_MAX_BYTES - len(unzipped) + 1)
            if len(unzipped) > UNZIPPED_MAX_BYTES or member.unconsumed_tail:
                raise Refusal(
                    413, f"The body unzips to more than {UNZIPPED_MAX_BYTES} bytes", "RequestEntityTooLarge"
                )
            if not member.eof:
                raise Refusal(400, "The gzip body ends early")
            body = member.unused_data
    except zlib.error as error:
        raise Refusal(400, f"The gzip body is broken: {error}") from error
    raise Refusal(413, f"The gzip body has more than {GZIP_MAX_MEMBERS} members", "RequestEntityTooLarge")
