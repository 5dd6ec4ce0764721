"""The limits of requests: hosts, lengths and gzip bodies."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from amllog.local.http.request import GZIP_MAX_MEMBERS, UNZIPPED_MAX_BYTES, Refusal, decompress

from ..conftest import faults_path, request_head, send_bytes  # isort: skip

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

    from ..conftest import Client


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1", "127.0.0.1@evil:1"]
)
def test_other_hosts_are_rejected(client: Client, host: str) -> None:
    """Another name for 127.0.0.1 (DNS rebinding) is rejected."""
    assert client("GET", "/faults", Host=host).status == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_loopback_names_are_accepted(azure: AzureOnThisMachine, client: Client, name: str) -> None:
    """All names of loopback are accepted, with the port of the server only."""
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
def test_web_pages_are_rejected(client: Client, headers: dict[str, str]) -> None:
    """A form that a browser sends from another page is rejected, with any token."""
    reply = client("PUT", "/faults", b"[]", Content_Type="text/plain", **headers)
    assert reply.status == 403
    assert [name for name in reply.headers if name.lower().startswith("access-control")] == []


def test_two_host_headers_are_rejected(azure: AzureOnThisMachine) -> None:
    """Two Host headers are rejected, although one of them is valid."""
    host = azure.url.partition("//")[2]
    head = f"GET {faults_path(azure)} HTTP/1.1\r\nHost: evil.example\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert b" 403 " in send_bytes(azure, head.encode())


def test_a_missing_host_is_rejected(azure: AzureOnThisMachine) -> None:
    """A request without a Host header is rejected, in any version of HTTP."""
    assert b" 403 " in send_bytes(azure, b"GET /faults HTTP/1.0\r\n\r\n")


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
def test_invalid_lengths_are_rejected(azure: AzureOnThisMachine, length: str, status: bytes) -> None:
    """A body with a wrong length is rejected without waiting for the rest."""
    path = f"{azure.ingestion_endpoint[len(azure.url) :]}/v2.1/track"
    assert status in send_bytes(azure, request_head(azure, "POST", path, f"Content-Length: {length}") + b"[]")


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"cut off")[:-4], gzip.compress(b"x") + b"rest"])
def test_invalid_gzip_bodies_are_rejected(client: Client, body: bytes) -> None:
    """A body that cannot be decompressed is rejected."""
    assert client("POST", "/v2.1/track", body, Content_Encoding="gzip").status == 400


def test_a_gzip_bomb(client: Client) -> None:
    """A small body that decompresses beyond the limit is rejected, with bounded memory."""
    member = zlib.compressobj(9, wbits=31)
    megabyte = bytes(1024 * 1024)
    count = UNZIPPED_MAX_BYTES // len(megabyte) + 1
    bomb = b"".join(member.compress(megabyte) for _ in range(count)) + member.flush()
    assert client("POST", "/v2.1/track", bomb, Content_Encoding="gzip").status == 413


def test_too_many_gzip_members() -> None:
    """A body with too many empty members is rejected."""
    with pytest.raises(Refusal, match="members"):
        decompress(gzip.compress(b"") * (GZIP_MAX_MEMBERS + 1))
