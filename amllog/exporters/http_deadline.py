"""HTTP connections of our own: bounded in time and memory, and safe from scripts that close our descriptors.

In: a requests session. Out: the same session. Its read timeout bounds an answer from its first byte to its last: by
itself it bounds each read alone, so that a server that sends a byte now and then would hold the courier for ever.
An answer is read and decoded as a whole, up to a limit. A longer one is replaced by a text that no client takes for
an answer. Its kept connections verify that their descriptor is still theirs (`sockets`), and are replaced
where it is not.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from amllog.exporters import verified_sockets
from amllog.record import response_body

# Windows has no poll, and a socket's number is no descriptor there; gevent and eventlet have sockets of their own.
CONNECT_SECONDS = 5.0  # of one connection to a service
VERIFIABLE = hasattr(select, "poll") and socket.socket.__module__ == "socket"
# Of an answer where the caller gives no limit: one page of run history has far less.
MAX_BYTES = 64 * 1024 * 1024
UNREADABLE = b"(amllog: the answer is beyond the limit, or its encoding is not accepted)"  # no JSON
_IDLE = "Idle"  # http.client's state of a connection without a request on its way


class _Answer(http.client.HTTPResponse):
    """An answer that is read whole with its headers, from a socket that knows when its time is over."""

    max_bytes = MAX_BYTES

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, time.monotonic() + seconds))

    def begin(self) -> None:
        """Read the headers and the body. The body that clients read is decoded."""
        super().begin()
        if self.isclosed() or self.length == 0:  # there is no body
            return
        encoding = ", ".join(self.headers.get_all("Content-Encoding", []))
        pieces = iter(lambda: self.read(response_body.PIECE_BYTES), b"")
        body = response_body.decode_body(pieces, encoding, self.max_bytes)
        if body is None:
            if not self.isclosed():
                self.fp.close()
            self.will_close = True  # what is still on its way is no answer to the next request
        elif self.length and not self.chunked:
            raise http.client.IncompleteRead(body, self.length)
        for name in ("Transfer-Encoding", "Content-Encoding", "Content-Length"):
            del self.headers[name]
        self.chunked = False
        found = UNREADABLE if body is None else body
        self.fp, self.length = io.BufferedReader(io.BytesIO(found)), len(found)


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


class _Connection:
    """The methods that verified connections add to those of urllib3."""

    notice: Callable[[str], object] | None
    _found: Any = None

    @property
    def sock(self) -> Any:
        """The socket; None where there is none, or where the script has taken the descriptor between two requests."""
        found = self._found
        if found is not None and not verified_sockets.is_intact(found):
            self._found = None
            found.close()
            if self.notice is not None:
                self.notice(f"{verified_sockets.LOST}; a new connection is used")
            if getattr(self, "_HTTPConnection__state", _IDLE) != _IDLE:
                raise ConnectionAbortedError(verified_sockets.LOST)
        return self._found

    @sock.setter
    def sock(self, found: Any) -> None:
        self._found = verified_sockets.verified(found)

    def _new_conn(self: Any) -> Any:
        """Connect as urllib3 does, with its errors."""
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

        try:
            return verified_sockets.connect(
                self._dns_host, self.port, _seconds(self.timeout), self.source_address, self.socket_options
            )
        except socket.timeout as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error


def bound_responses(
    session: Any, notice: Callable[[str], object] | None = None, max_bytes: int = MAX_BYTES
) -> Any:
    """The session, a requests.Session: from now on its read timeout is of whole answers. Harmless a second time.

    `notice`: called with a text when the script has taken the descriptor of a kept connection. `max_bytes`: of an
    answer, as it arrives and decoded; a longer one has the body `UNREADABLE`, and its connection is closed.
    The session adds no password of the user's `.netrc`: its `default` would go to any host, in place of a token.
    """
    session.headers["Accept-Encoding"] = response_body.ACCEPTED
    session.auth = session.auth or _as_it_is
    members = {"response_class": _answer_class(max_bytes), "notice": notice and staticmethod(notice)}
    return _changed(session, members)


def _as_it_is(request: Any) -> Any:
    """The request without any authorization but that of its own headers."""
    return request


@lru_cache
def _answer_class(max_bytes: int) -> type[_Answer]:
    return type(_Answer.__name__, (_Answer,), {"max_bytes": max_bytes})


def verify_sockets(session: Any) -> Any:
    """The session, whose connections verify their descriptors; nothing else about it changes."""
    return _changed(session, {"notice": None})


def _changed(session: Any, members: dict[str, Any]) -> Any:
    for adapter in session.adapters.values():
        _change(adapter.poolmanager, members)
        make = adapter.proxy_manager_for
        if getattr(make, "amllog_members", None) is None:
            adapter.proxy_manager_for = _Proxies(make, members)
    return session


class _Proxies:
    """An adapter's `proxy_manager_for`, whose connections are changed as those without a proxy."""

    def __init__(self, make: Callable[..., Any], members: dict[str, Any]) -> None:
        self._make, self.amllog_members = make, members

    def __call__(self, proxy: str, **options: Any) -> Any:
        manager = self._make(proxy, **options)
        _change(manager, self.amllog_members)
        return manager


def _change(manager: Any, members: dict[str, Any]) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _pool(pool, members) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _pool(pool: Any, members: dict[str, Any]) -> Any:
    kind = pool.ConnectionCls
    if "notice" in vars(kind):
        return pool
    if kind.__module__ != "urllib3.connection":  # SOCKS: its sockets speak with the proxy first
        members = {**members, "_new_conn": kind._new_conn}
    bases = (_Connection, kind) if VERIFIABLE else (kind,)
    connection = type(kind.__name__, bases, members)
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _seconds(timeout: Any) -> float | None:
    """A connection's timeout; urllib3 has an object of its own for the default."""
    return timeout if isinstance(timeout, (int, float)) else socket.getdefaulttimeout()
