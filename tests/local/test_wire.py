"""HTTP on loopback: who may speak to it, how much is read, and what happens to broken requests."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from amllog.local import Faults, message
from amllog.local.message import Answer, Refusal, Request, unzip
from amllog.local.wire import LoopbackServer, Side

if TYPE_CHECKING:
    from conftest import Client

    from amllog.local import AzureOnThisMachine


def raw(azure: AzureOnThisMachine, text: bytes) -> bytes:
    """Send bytes, read to the end of the connection."""
    port = int(azure.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_it_listens_on_loopback_only(azure: AzureOnThisMachine) -> None:
    """The socket is bound to 127.0.0.1, not to all addresses."""
    host, _, port = azure.url.partition("//")[2].partition(":")
    assert host == "127.0.0.1"
    with socket.socket() as other:
        other.bind(("127.0.0.2", int(port)))  # free: would fail beside a socket on 0.0.0.0


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1", "127.0.0.1@evil:1"]
)
def test_a_strange_host_is_refused(client: Client, host: str) -> None:
    """DNS rebinding: another name that leads to 127.0.0.1 gets nothing."""
    assert client("GET", "/faults", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:80", "LOCALHOST"])
def test_its_own_names_pass(client: Client, host: str) -> None:
    """Loopback by any of its names."""
    assert client("GET", "/faults", Host=host).status == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://localhost:8888", 200)]
)
def test_a_page_of_another_origin_is_refused(client: Client, origin: str, status: int) -> None:
    """A browser that sends a form from somewhere else is not answered."""
    assert client("GET", "/faults", Origin=origin).status == status


def test_no_host_at_all(azure: AzureOnThisMachine) -> None:
    """A request without a Host is refused, of whatever version."""
    assert b" 403 " in raw(azure, b"GET /faults HTTP/1.0\r\n\r\n")


def test_the_connection_is_kept(client: Client) -> None:
    """HTTP/1.1: one connection for many requests, also after an error."""
    assert client("GET", "/nothing").status == 404
    before = client.connection.sock
    assert client("GET", "/faults").status == 200
    assert client.connection.sock is before


@pytest.mark.parametrize(
    ("length", "status"),
    [("many", b" 400 "), ("-1", b" 413 "), ("99999999999999", b" 413 "), ("10", b" 400 ")],
)
def test_lengths_that_lie(azure: AzureOnThisMachine, length: str, status: bytes) -> None:
    """A body that is announced wrongly is not waited for, nor read without end."""
    head = f"POST /v2.1/track HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n[]"
    assert status in raw(azure, head.encode())


def test_chunks(azure: AzureOnThisMachine) -> None:
    """A body in chunks is read; chunks without an end or of a strange size are refused."""
    head = (
        b"PUT /faults HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert b" 200 " in raw(azure, head + b"1;x=y\r\n[\r\n1\r\n]\r\n0\r\n\r\n")
    assert b" 400 " in raw(azure, head + b"5\r\n[")
    assert b" 400 " in raw(azure, head + b"zz\r\n[")
    assert b" 413 " in raw(azure, head + b"ffffffffffff\r\n[")


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"cut off")[:-4], gzip.compress(b"x") + b"rest"])
def test_a_broken_gzip_body(client: Client, body: bytes) -> None:
    """What does not unzip is refused."""
    assert client("POST", "/v2.1/track", body, Content_Encoding="gzip").status == 400


def test_a_gzip_bomb(client: Client) -> None:
    """A small body that grows beyond the bar is refused; the memory it takes is bounded."""
    member = zlib.compressobj(9, wbits=31)
    megabyte = bytes(1024 * 1024)
    count = message.UNZIPPED_MAX_BYTES // len(megabyte) + 1
    bomb = b"".join(member.compress(megabyte) for _ in range(count)) + member.flush()
    assert client("POST", "/v2.1/track", bomb, Content_Encoding="gzip").status == 413


def test_a_bomb_of_many_members() -> None:
    """Very many empty members are refused."""
    with pytest.raises(Refusal, match="members"):
        unzip(gzip.compress(b"") * (message.GZIP_MAX_MEMBERS + 1))


def test_many_at_once(azure: AzureOnThisMachine) -> None:
    """A burst of connections is answered completely."""
    answers: list[bytes] = []
    request = b"GET /faults HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    threads = [threading.Thread(target=lambda: answers.append(raw(azure, request))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([answer for answer in answers if b" 200 " in answer]) == 100


def test_a_stop_breaks_off_kept_connections(azure: AzureOnThisMachine, client: Client) -> None:
    """After `stop()` nobody is answered, not even over a connection that was open."""
    assert client("GET", "/faults").status == 200
    azure.stop()
    with pytest.raises(OSError):
        client("GET", "/faults")


def test_requests_are_remembered(azure: AzureOnThisMachine, client: Client) -> None:
    """Each request with its service, path and status."""
    client("POST", "/v2.1/track", [])
    client("GET", "/nothing")
    assert [(one.service, one.method, one.path, one.status) for one in azure.requests_log] == [
        ("ingestion", "POST", "/v2.1/track", 400),
        ("run_history", "GET", "/nothing", 404),
    ]


def test_other_methods(client: Client) -> None:
    """A path that is there with another method is a 405."""
    assert client("DELETE", "/faults").status == 405
    assert client("GET", "/v2.1/track").status == 405


@pytest.mark.parametrize(
    "path", ["/history/%00", "/history/%ff", "/" + "x" * 60_000, "/%2e%2e/%2e%2e/etc/passwd"]
)
def test_strange_paths(client: Client, path: str) -> None:
    """No path leads anywhere that is not a route."""
    assert client("GET", path).status in (400, 404, 414)


@pytest.mark.parametrize("name", ["%00", "a%00b", "%ff", "x" * 5001])
def test_strange_names_in_paths(client: Client, name: str) -> None:
    """A name in a path is UTF-8, of bounded length, and has no NUL."""
    assert client.history("GET", f"runs/{name}").status == 400


def test_a_mistake_of_ours_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """A handler that fails breaks the connection and leaves its traceback on stderr."""

    def mistaken(request: Request) -> Answer:
        raise KeyError("mistake")

    side = Side(mistaken, Faults(), lambda path: "ingestion", lambda *served: None)
    server = LoopbackServer(0, side)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100) == b""
    server.stop()
    assert "KeyError: 'mistake'" in capfd.readouterr().err
