"""Whole answers in bounded time: an answer that comes in drops ends when its offer's time does.

In: a requests session. Out: the same session, whose read timeout bounds an answer from its first byte to its last.
By itself it bounds each read alone, so that a far side that sends a byte now and then holds the courier for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


class _Answer(http.client.HTTPResponse):
    """An answer read from a socket that knows when its time is over."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, time.monotonic() + seconds))


class _Reader(io.RawIOBase):
    """A socket's bytes, until the deadline."""

    def __init__(self, raw: Any, sock: socket.socket, deadline: float) -> None:
        self._raw, self._socket, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


def bound_answers(session: Any) -> Any:
    """The session, a requests.Session: from now on its read timeout is of whole answers. Harmless a second time."""
    for adapter in session.adapters.values():
        manager = adapter.poolmanager
        manager.pool_classes_by_scheme = {
            scheme: _bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
        }
    return session


def _bounded(pool: Any) -> Any:
    if getattr(pool.ConnectionCls, "response_class", None) is _Answer:
        return pool
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Answer})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
