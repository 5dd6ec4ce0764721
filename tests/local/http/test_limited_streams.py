"""The limit of the head of a request."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine


def test_a_long_head_is_rejected(azure: AzureOnThisMachine) -> None:
    """Many long lines are rejected at the limit of the head, although each line and their number are allowed."""
    with socket.create_connection(
        ("127.0.0.1", int(azure.url.rpartition(":")[2])), timeout=300
    ) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\n" + (b"X: " + b"a" * 30_000 + b"\r\n") * 3)  # without an end
        assert b" 431 " in connection.recv(65536).partition(b"\r\n")[0]
