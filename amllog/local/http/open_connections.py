"""The open connections of a server, and how long each may take.

In: connections as they come and go. Out: those that are too slow, or too many without a token, are closed.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from time import monotonic

HEAD_SECONDS = 30.0  # from the connection to the first request with a valid token
IDLE_SECONDS = 120.0  # from an answer to the next request
BODY_SECONDS = 600.0
UNAUTHENTICATED_MAX = 256
CHECK_SECONDS = 1.0


class OpenConnections:
    """Which connections are open; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[socket.socket, float] = {}
        self._without_token: dict[socket.socket, None] = {}  # the oldest first
        self._checked = 0.0

    def add(self, connection: socket.socket) -> None:
        """A new one, without a token. If there are too many of them, the oldest is closed."""
        with self._lock:
            self._until[connection] = monotonic() + HEAD_SECONDS
            self._without_token[connection] = None
            if len(self._without_token) > UNAUTHENTICATED_MAX:
                oldest = next(iter(self._without_token))
                del self._without_token[oldest]
                _close(oldest)

    def admit(self, connection: socket.socket) -> None:
        """It has sent a valid token."""
        with self._lock:
            self._without_token.pop(connection, None)

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """From now on it may take this long for its next step."""
        with self._lock:
            if connection in self._until:
                self._until[connection] = monotonic() + seconds

    def discard(self, connection: socket.socket) -> None:
        """It is over."""
        with self._lock:
            self._until.pop(connection, None)
            self._without_token.pop(connection, None)

    def close_slow(self) -> None:
        """Close those whose time is over. Looks once a second, however often it is called."""
        now = monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        with self._lock:
            for connection, until in self._until.items():
                if until < now:
                    _close(connection)

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._until:
                _close(connection)


def is_disconnected(connection: socket.socket) -> bool:
    """Whether the client has closed its end: there is something to read, and that is the end."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            if not selector.select(0):
                return False
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK)  # beneath TLS, whose state is not ours
    except (OSError, ValueError):  # broken, or closed by us
        return True


def _close(connection: socket.socket) -> None:
    """Wake the thread that reads it. The method of the plain socket leaves the state of TLS to that thread."""
    with contextlib.suppress(OSError):  # the client was faster
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
