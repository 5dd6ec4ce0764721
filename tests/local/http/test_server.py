"""Connections, bodies and methods of requests over loopback HTTP."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from amllog.local import Faults
from amllog.local.http.request import (
    Request,
    Response,
)
from amllog.local.http.server import LoopbackServer, ServerCallbacks

from ..conftest import faults_path, request_head, send_bytes  # isort: skip

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

    from ..conftest import Client


def test_the_server_listens_on_loopback_only(azure: AzureOnThisMachine) -> None:
    """The socket is bound to 127.0.0.1 only."""
    host, _, port = azure.url.partition("//")[2].partition(":")
    assert host == "127.0.0.1"
    with socket.socket() as other:
        other.bind(("127.0.0.2", int(port)))  # fails if the server listens on 0.0.0.0


def test_the_connection_is_kept(client: Client) -> None:
    """A connection is used for several requests, also after an error of a service."""
    assert client("POST", "/v2.1/track", b"{").status == 400
    before = client.connection.sock
    assert client("GET", "/faults").status == 200
    assert client.connection.sock is before is not None


@pytest.mark.parametrize("second", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_two_lengths_are_rejected(azure: AzureOnThisMachine, second: str) -> None:
    """Two lengths of one body are rejected, because client and server may not agree on its end."""
    assert b" 400 " in send_bytes(
        azure, request_head(azure, "PUT", faults_path(azure), "Content-Length: 2", second) + b"[]"
    )


def test_chunked_bodies(azure: AzureOnThisMachine) -> None:
    """A body in chunks is read, and incomplete or invalid chunks are rejected."""
    head = request_head(azure, "PUT", faults_path(azure), "Connection: close", "Transfer-Encoding: chunked")
    assert b" 200 " in send_bytes(azure, head + b"1;x=y\r\n[\r\n1\r\n]\r\n0\r\n\r\n")
    assert b" 400 " in send_bytes(azure, head + b"5\r\n[")
    assert b" 400 " in send_bytes(azure, head + b"zz\r\n[")
    assert b" 413 " in send_bytes(azure, head + b"ffffffffffff\r\n[")


def test_many_concurrent_connections(azure: AzureOnThisMachine) -> None:
    """A burst of connections is answered completely."""
    answers: list[bytes] = []
    request = request_head(azure, "GET", faults_path(azure), "Connection: close")
    threads = [
        threading.Thread(target=lambda: answers.append(send_bytes(azure, request))) for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([answer for answer in answers if b" 200 " in answer]) == 100


def test_stop_closes_open_connections(azure: AzureOnThisMachine, client: Client) -> None:
    """After `stop()` no request is answered, also not on an open connection."""
    assert client("GET", "/faults").status == 200
    azure.stop()
    with pytest.raises(OSError):
        client("GET", "/faults")


def test_an_error_of_a_handler_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A handler that raises closes the connection, and its traceback is on stderr."""

    def fail(request: Request) -> Response:
        raise KeyError("our error")

    callbacks = ServerCallbacks(
        lambda head: (head, fail), Faults(), lambda path: "ingestion", lambda *logged: None
    )
    server = LoopbackServer(0, callbacks)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        assert connection.recv(100) == b""
    server.stop()
    assert "KeyError: 'our error'" in capfd.readouterr().err


@pytest.mark.parametrize("length", ["\xb2", "1\xb3", "-", "1_0", "0x1"])
def test_an_invalid_length_without_a_token(azure: AzureOnThisMachine, length: str) -> None:
    """The request gets 401 like every request without a token, and raises no error."""
    assert b" 401 " in send_bytes(
        azure, request_head(azure, "POST", "/v2.1/track", f"Content-Length: {length}")
    )


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "<script>", "do_GET"])
def test_any_method_needs_a_token(azure: AzureOnThisMachine, method: str) -> None:
    """An unknown method is rejected like the others: first for its token, then as JSON."""
    answer = send_bytes(azure, request_head(azure, method, "/v2.1/track"))
    assert b" 401 " in answer.partition(b"\r\n")[0]
    assert b"<" not in answer.partition(b"\r\n\r\n")[2]
    assert (
        b" 405 "
        in send_bytes(azure, request_head(azure, method, faults_path(azure), "Connection: close")).partition(
            b"\r\n"
        )[0]
    )


def test_continue_needs_a_token(azure: AzureOnThisMachine) -> None:
    """Without a token the response is sent at once, without `100 Continue`."""
    lines = ("Content-Length: 2", "Expect: 100-continue", "Connection: close")
    assert send_bytes(azure, request_head(azure, "PUT", "/faults", *lines)).startswith(b"HTTP/1.1 401 ")
    response = send_bytes(azure, request_head(azure, "PUT", faults_path(azure), *lines) + b"[]")
    assert response.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in response
