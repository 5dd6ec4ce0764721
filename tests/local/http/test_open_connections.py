"""The limits of open connections."""

from __future__ import annotations

import socket

import pytest

from amllog.local.http.open_connections import UNAUTHENTICATED_MAX, OpenConnections


def test_connections_without_a_token_are_limited() -> None:
    """The oldest connections without a token are closed, and those with a token stay open."""
    pairs = [socket.socketpair() for _ in range(UNAUTHENTICATED_MAX + 3)]
    connections = OpenConnections()
    for index, (near, _far) in enumerate(pairs):
        connections.add(near)
        if index == 0:
            connections.mark_authenticated(near)
    for _near, far in pairs:
        far.setblocking(False)

    def is_closed(far: socket.socket) -> bool:
        try:
            return far.recv(1) == b""
        except BlockingIOError:
            return False

    assert [index for index, (_near, far) in enumerate(pairs) if is_closed(far)] == [1, 2]
    for near, far in pairs:
        connections.discard(near)
        near.close()
        far.close()


def test_a_slow_connection_is_closed() -> None:
    """A connection that exceeds its time is closed, and the others stay open."""
    pairs = [socket.socketpair() for _ in range(2)]
    connections = OpenConnections()
    for near, _far in pairs:
        connections.add(near)
    connections.set_timeout(pairs[0][0], -1)
    connections.close_overdue()
    assert pairs[0][1].recv(1) == b""
    pairs[1][1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pairs[1][1].recv(1)
    for near, far in pairs:
        near.close()
        far.close()
