"""Limit the number and the duration of open connections.

A connection that exceeds its time is closed, and so is the oldest one without a valid token if there are too many.
Without these limits, a process without a token could use up the threads and descriptors of the server.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from time import monotonic

HEAD_SECONDS = 30.0  # from the connection to the first request with a valid token
IDLE_SECONDS = 120.0  # from a response to the next request
BODY_SECONDS = 600.0
UNAUTHENTICATED_MAX = 256
CHECK_SECONDS = 1.0


class OpenConnections:
    """The open connections of a server. All methods are thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        self._unauthenticated: dict[socket.socket, None] = {}  # in the order of their beginning
        self._checked = 0.0

    def add(self, connection: socket.socket) -> None:
        """Add a new connection. If too many have sent no token, close the oldest of them."""
        with self._lock:
            self._deadlines[connection] = monotonic() + HEAD_SECONDS
            self._unauthenticated[connection] = None
            if len(self._unauthenticated) > UNAUTHENTICATED_MAX:
                oldest = next(iter(self._unauthenticated))
                del self._unauthenticated[oldest]
                _close(oldest)

    def mark_authenticated(self, connection: socket.socket) -> None:
        """Note that a connection has sent a valid token."""
        with self._lock:
            self._unauthenticated.pop(connection, None)

    def set_timeout(self, connection: socket.socket, seconds: float) -> None:
        """Set how many seconds from now the next step of a connection may take."""
        with self._lock:
            if connection in self._deadlines:
                self._deadlines[connection] = monotonic() + seconds

    def discard(self, connection: socket.socket) -> None:
        """Remove a closed connection."""
        with self._lock:
            self._deadlines.pop(connection, None)
            self._unauthenticated.pop(connection, None)

    def close_overdue(self) -> None:
        """Close the connections that exceeded their time. Checks at most once per second."""
        now = monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        with self._lock:
            for connection, deadline in self._deadlines.items():
                if deadline < now:
                    _close(connection)

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._deadlines:
                _close(connection)


def is_disconnected(connection: socket.socket) -> bool:
    """Return whether the client has closed its end, which makes the socket readable without data."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            if not selector.select(0):
                return False
        # The method of the plain socket reads below TLS, whose state must not change.
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except (OSError, ValueError):  # broken, or closed here
        return True


def _close(connection: socket.socket) -> None:
    """Wake the thread that reads the connection. The method of the plain socket does not touch the state of TLS."""
    with contextlib.suppress(OSError):  # the client has closed it already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
