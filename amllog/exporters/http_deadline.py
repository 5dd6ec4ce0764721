"""Limit the time and the memory of HTTP responses, and protect connections from scripts that close descriptors.

A read timeout of `requests` limits each read alone. A server that sends one byte now and then would hold the delivery
worker for ever. Here the timeout covers the whole response, from its first byte to its last.

A response is read and decoded as a whole, up to a limit. A longer one is replaced by a body that no client accepts.
Kept connections verify that their descriptor is still theirs (`verified_sockets`), and are replaced if it is not.
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
from amllog.process import own_work
from amllog.record import response_body

CONNECT_SECONDS = 5.0  # until a service accepts a connection
# Windows has no poll, and the number of a socket is not a descriptor there. gevent and eventlet replace the class.
VERIFIABLE = hasattr(select, "poll") and socket.socket.__module__ == "socket"
# The default limit of a response. One page of run history is far smaller.
MAX_BYTES = 64 * 1024 * 1024
UNREADABLE = b"(amllog: the response is beyond the limit, or its encoding is not accepted)"  # not JSON
_IDLE = "Idle"  # the state of a connection without a request, in http.client


class _Response(http.client.HTTPResponse):
    """A response whose body is read together with its headers, until the deadline."""

    max_bytes = MAX_BYTES

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, time.monotonic() + seconds))

    def begin(self) -> None:
        """Read the headers and the body. Clients read the decoded body."""
        super().begin()
        if self.isclosed() or self.length == 0:  # no body
            return
        encoding = ", ".join(self.headers.get_all("Content-Encoding", []))
        pieces = iter(lambda: self.read(response_body.PIECE_BYTES), b"")
        body = response_body.decode_body(pieces, encoding, self.max_bytes)
        if body is None:
            if not self.isclosed():
                self.fp.close()
            self.will_close = True  # the rest of the body must not become the response to the next request
        elif self.length and not self.chunked:
            raise http.client.IncompleteRead(body, self.length)
        for name in ("Transfer-Encoding", "Content-Encoding", "Content-Length"):
            del self.headers[name]
        self.chunked = False
        content = UNREADABLE if body is None else body
        self.fp, self.length = io.BufferedReader(io.BytesIO(content)), len(content)


class _DeadlineReader(io.RawIOBase):
    """The bytes of a socket, until the deadline."""

    def __init__(self, raw: Any, sock: socket.socket, deadline: float) -> None:
        self._raw, self._socket, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise socket.timeout("timed out")
        self._socket.settimeout(remaining)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Connection:
    """The methods that verified connections add to urllib3's."""

    notice: Callable[[str], object] | None
    _verified_sock: Any = None

    @property
    def debuglevel(self) -> int:
        """The level that a script sets in http.client to print requests. amllog's requests are not printed."""
        return 0 if own_work.THREAD.doing == own_work.SENDING else http.client.HTTPConnection.debuglevel

    @debuglevel.setter
    def debuglevel(self, level: int) -> None:
        pass

    @property
    def sock(self) -> Any:
        """The socket. None without a connection, or if the script took the descriptor between two requests."""
        sock = self._verified_sock
        if sock is not None and not verified_sockets.is_intact(sock):
            self._verified_sock = None
            sock.close()
            if self.notice is not None:
                self.notice(f"{verified_sockets.LOST}; a new connection is used")
            if getattr(self, "_HTTPConnection__state", _IDLE) != _IDLE:
                raise ConnectionAbortedError(verified_sockets.LOST)
        return self._verified_sock

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._verified_sock = verified_sockets.verified(sock)

    def _new_conn(self: Any) -> Any:
        """Connect, with the errors of urllib3."""
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
    """Apply the read timeout of a requests.Session to whole responses. Return the session. Safe to repeat.

    `notice`: called with a message when the script has taken the descriptor of a kept connection. `max_bytes`: the
    limit of a response, before and after decoding. A longer one has the body `UNREADABLE`, and its connection is
    closed.

    The session sends no password of the user's `.netrc`. Its `default` entry would go to any host, in place of a token.
    """
    session.headers["Accept-Encoding"] = response_body.ACCEPTED
    session.auth = session.auth or _no_auth
    members = {"response_class": _response_class(max_bytes), "notice": notice and staticmethod(notice)}
    return _adapt_session(session, members)


def _no_auth(request: Any) -> Any:
    """Return the request unchanged, so that only its headers authorize it."""
    return request


@lru_cache
def _response_class(max_bytes: int) -> type[_Response]:
    return type(_Response.__name__, (_Response,), {"max_bytes": max_bytes})


def verify_sockets(session: Any) -> Any:
    """Make the connections of a session verify their descriptors, and change nothing else. Return the session."""
    return _adapt_session(session, {"notice": None})


def _adapt_session(session: Any, members: dict[str, Any]) -> Any:
    for adapter in session.adapters.values():
        _adapt_manager(adapter.poolmanager, members)
        create = adapter.proxy_manager_for
        if getattr(create, "amllog_members", None) is None:
            adapter.proxy_manager_for = _ProxyManagers(create, members)
    return session


class _ProxyManagers:
    """The `proxy_manager_for` of an adapter. It adapts connections by way of a proxy like all others."""

    def __init__(self, create: Callable[..., Any], members: dict[str, Any]) -> None:
        self._create, self.amllog_members = create, members

    def __call__(self, proxy: str, **options: Any) -> Any:
        manager = self._create(proxy, **options)
        _adapt_manager(manager, self.amllog_members)
        return manager


def _adapt_manager(manager: Any, members: dict[str, Any]) -> None:
    manager.pool_classes_by_scheme = {
        scheme: _pool_class(pool, members) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _pool_class(pool: Any, members: dict[str, Any]) -> Any:
    kind = pool.ConnectionCls
    if "notice" in vars(kind):
        return pool
    if kind.__module__ != "urllib3.connection":  # a SOCKS connection begins with messages to the proxy
        members = {**members, "_new_conn": kind._new_conn}
    bases = (_Connection, kind) if VERIFIABLE else (kind,)
    connection = type(kind.__name__, bases, members)
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _seconds(timeout: Any) -> float | None:
    """Return the timeout of a connection. urllib3 passes a special object for the default one."""
    return timeout if isinstance(timeout, (int, float)) else socket.getdefaulttimeout()
