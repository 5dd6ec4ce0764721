"""HTTP on loopback: who may speak to it, how much is read, and what happens to broken requests."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from amllog.local import Faults
from amllog.local.http.request import (
    GZIP_MAX_MEMBERS,
    UNZIPPED_MAX_BYTES,
    Refusal,
    Request,
    Response,
    decompress,
)
from amllog.local.http.server import LoopbackServer, ServerCallbacks

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

    from ..conftest import Client


def path_of(azure: AzureOnThisMachine) -> str:
    """The path of the faults, with its token."""
    return azure.faults_url[len(azure.url) :]


def head_of(azure: AzureOnThisMachine, method: str, path: str, *more: str) -> bytes:
    """The head of a request with these lines."""
    own = azure.url.partition("//")[2]
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {own}", *more, "", "")).encode("latin-1")


def raw(azure: AzureOnThisMachine, text: bytes) -> bytes:
    """Send bytes, read to the end of the connection."""
    port = int(azure.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
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


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_its_own_names_pass(azure: AzureOnThisMachine, client: Client, name: str) -> None:
    """Loopback by any of its names, with this server's port and no other."""
    port = azure.url.rpartition(":")[2]
    assert client("GET", "/faults", Host=f"{name}:{port}").status == 200
    assert client("GET", "/faults", Host=f"{name}:1").status == 403
    assert client("GET", "/faults", Host=name).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8888"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_web_page_is_rejected(client: Client, headers: dict[str, str]) -> None:
    """A browser that sends a form from another page is rejected, whatever token it has."""
    reply = client("PUT", "/faults", b"[]", Content_Type="text/plain", **headers)
    assert reply.status == 403
    assert [name for name in reply.headers if name.lower().startswith("access-control")] == []


def test_a_host_given_twice(azure: AzureOnThisMachine) -> None:
    """Two Host headers are rejected, though one of them is right."""
    own = azure.url.partition("//")[2]
    head = f"GET {path_of(azure)} HTTP/1.1\r\nHost: evil.example\r\nHost: {own}\r\nConnection: close\r\n\r\n"
    assert b" 403 " in raw(azure, head.encode())


def test_no_host_at_all(azure: AzureOnThisMachine) -> None:
    """A request without a Host is refused, of whatever version."""
    assert b" 403 " in raw(azure, b"GET /faults HTTP/1.0\r\n\r\n")


def test_the_connection_is_kept(client: Client) -> None:
    """HTTP/1.1: one connection for many requests, also after an error of a service."""
    assert client("POST", "/v2.1/track", b"{").status == 400
    before = client.connection.sock
    assert client("GET", "/faults").status == 200
    assert client.connection.sock is before is not None


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("many", b" 400 "),
        ("-1", b" 413 "),
        ("99999999999999", b" 413 "),
        ("10", b" 400 "),
        ("1_0", b" 400 "),
        ("\xb2", b" 400 "),
    ],
)
def test_lengths_that_lie(azure: AzureOnThisMachine, length: str, status: bytes) -> None:
    """A body that is announced wrongly is not waited for, nor read without end."""
    path = f"{azure.ingestion_endpoint[len(azure.url) :]}/v2.1/track"
    assert status in raw(azure, head_of(azure, "POST", path, f"Content-Length: {length}") + b"[]")


@pytest.mark.parametrize("second", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_a_length_given_twice(azure: AzureOnThisMachine, second: str) -> None:
    """Two lengths of one body are rejected: client and server might not agree where it ends."""
    assert b" 400 " in raw(azure, head_of(azure, "PUT", path_of(azure), "Content-Length: 2", second) + b"[]")


def test_chunks(azure: AzureOnThisMachine) -> None:
    """A body in chunks is read; chunks without an end or of a strange size are refused."""
    head = head_of(azure, "PUT", path_of(azure), "Connection: close", "Transfer-Encoding: chunked")
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
    count = UNZIPPED_MAX_BYTES // len(megabyte) + 1
    bomb = b"".join(member.compress(megabyte) for _ in range(count)) + member.flush()
    assert client("POST", "/v2.1/track", bomb, Content_Encoding="gzip").status == 413


def test_a_bomb_of_many_members() -> None:
    """Very many empty members are refused."""
    with pytest.raises(Refusal, match="members"):
        decompress(gzip.compress(b"") * (GZIP_MAX_MEMBERS + 1))


def test_many_at_once(azure: AzureOnThisMachine) -> None:
    """A burst of connections is answered completely."""
    answers: list[bytes] = []
    request = head_of(azure, "GET", path_of(azure), "Connection: close")
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
    """Each request with its service, path and status; the path is without tokens."""
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
    "path",
    ["/history/%00", "/history/%ff", "/" + "x" * 60_000, "/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd"],
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

    def mistaken(request: Request) -> Response:
        raise KeyError("mistake")

    side = ServerCallbacks(
        lambda head: (head, mistaken), Faults(), lambda path: "ingestion", lambda *served: None
    )
    server = LoopbackServer(0, side)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        assert connection.recv(100) == b""
    server.stop()
    assert "KeyError: 'mistake'" in capfd.readouterr().err


@pytest.mark.parametrize("length", ["\xb2", "1\xb3", "-", "1_0", "0x1"])
def test_an_unreadable_length_without_a_token(azure: AzureOnThisMachine, length: str) -> None:
    """It is answered like every request without a token, and is no mistake of ours."""
    assert b" 401 " in raw(azure, head_of(azure, "POST", "/v2.1/track", f"Content-Length: {length}"))


def test_a_long_head_is_rejected(azure: AzureOnThisMachine) -> None:
    """Many long lines are not read without end, though no line is too long and there are not too many."""
    with socket.create_connection(
        ("127.0.0.1", int(azure.url.rpartition(":")[2])), timeout=300
    ) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\n" + (b"X: " + b"a" * 30_000 + b"\r\n") * 3)  # and no end
        assert b" 431 " in connection.recv(65536).partition(b"\r\n")[0]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "<script>", "do_GET"])
def test_any_method_needs_a_token(azure: AzureOnThisMachine, method: str) -> None:
    """A method that no service has is rejected like the others: by the token first, then as JSON."""
    answer = raw(azure, head_of(azure, method, "/v2.1/track"))
    assert b" 401 " in answer.partition(b"\r\n")[0]
    assert b"<" not in answer.partition(b"\r\n\r\n")[2]
    assert (
        b" 405 "
        in raw(azure, head_of(azure, method, path_of(azure), "Connection: close")).partition(b"\r\n")[0]
    )


def test_continue_is_sent_to_who_has_a_token(azure: AzureOnThisMachine) -> None:
    """Without a token the answer comes at once, and no body is asked for."""
    more = ("Content-Length: 2", "Expect: 100-continue", "Connection: close")
    assert raw(azure, head_of(azure, "PUT", "/faults", *more)).startswith(b"HTTP/1.1 401 ")
    right = raw(azure, head_of(azure, "PUT", path_of(azure), *more) + b"[]")
    assert right.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in right
