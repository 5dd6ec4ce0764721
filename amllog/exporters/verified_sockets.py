"""Sockets that never use a descriptor of the script.

A script may close every descriptor of its process (`os.closerange`, python-daemon's `DaemonContext`), or replace one
with its own file (`os.dup2`). The descriptor of a kept connection then belongs to the script. The sockets of this
module store their identity (device and inode) and compare it before each system call. A socket that has lost its
descriptor detaches from it without closing it, and its operations raise `ConnectionAbortedError`.

No system call blocks, because the script could replace the descriptor meanwhile. A separate `poll` waits, and the
comparison follows it. Two cases are not covered: changes by another thread in the few microseconds between the
comparison and the call, and TLS handshakes.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

LOST = "the script closed or replaced the descriptor of a connection"
_MIN_FD = 3  # lower descriptors are standard streams, even if the script has closed them
_CLOSED = (-1, -1)  # the identity of a closed descriptor
# gevent may replace these names of the standard library later. The classes below do not change.
_fileno, _TLSSocket = socket.socket.fileno, ssl.SSLSocket

# Not a base class at run time. Otherwise the class of a TLS socket could not be replaced (`verified`).
if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object


class _Verified(_Socket):
    """The methods that both kinds of sockets share. `verified` explains `__slots__`."""

    __slots__ = ()
    identity: tuple[int, int]
    seconds: float | None

    def is_intact(self) -> bool:
        """Return whether the descriptor still belongs to this socket."""
        fd = _fileno(self)
        return fd >= 0 and _identity_of(fd) == self.identity

    def abandon(self) -> None:
        """Detach from the descriptor, which is the script's now, without closing it."""
        self.detach()
        self.close()

    def settimeout(self, value: float | None) -> None:
        """Set the seconds that an operation may wait. The descriptor itself stays non-blocking."""
        self.seconds = value

    def gettimeout(self) -> float | None:
        return self.seconds

    def fileno(self) -> int:
        return _fileno(self) if self.is_intact() else -1

    def shutdown(self, how: int) -> None:
        self._verify()
        super().shutdown(how)

    def setsockopt(self, *args: Any) -> None:
        self._verify()
        super().setsockopt(*args)

    def _real_close(self, *args: Any) -> None:
        if not self.is_intact():
            self.detach()
        super()._real_close(*args)  # type: ignore[misc]  # in the standard library's Python code

    def __del__(self) -> None:
        self._real_close()

    def _verify(self) -> int:
        fd = _fileno(self)
        if fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if not self.is_intact():
            self.abandon()
            raise ConnectionAbortedError(errno.ECONNABORTED, LOST)
        return fd

    def _repeat(self, operation: Callable[..., Any], event: int, *args: Any) -> Any:
        """Call the operation until it does not block. Raises socket.timeout after `seconds`."""
        deadline = None if self.seconds is None else time.monotonic() + self.seconds
        while True:
            self._verify()
            try:
                return operation(*args)
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except BlockingIOError:
                wanted = event
            self._wait(wanted, deadline)

    def _wait(self, event: int, deadline: float | None) -> None:
        remaining = None if deadline is None else deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._verify(), event)
        if remaining is not None and (remaining <= 0 or not poll.poll(remaining * 1000)):
            raise socket.timeout("timed out")
        if remaining is None:
            poll.poll()


class VerifiedSocket(_Verified, socket.socket):
    """A TCP socket."""

    __slots__ = ("identity", "seconds")

    def __init__(self, family: int = -1, kind: int = -1, protocol: int = -1, fd: int | None = None) -> None:
        self.identity, self.seconds = _CLOSED, None
        super().__init__(family, kind, protocol, fd)
        super().setblocking(False)
        self.identity = _identity_of(_fileno(self))

    def connect(self, address: Any) -> None:
        """Connect within the time that an operation may wait. Raises OSError, for example socket.timeout."""
        self._verify()
        code = super().connect_ex(address)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            deadline = None if self.seconds is None else time.monotonic() + self.seconds
            self._wait(select.POLLOUT, deadline)
            self._verify()
            code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def recv(self, *args: Any) -> bytes:
        """Verify the descriptor, and receive bytes."""
        received: bytes = self._repeat(super().recv, select.POLLIN, *args)
        return received

    def recv_into(self, *args: Any) -> int:
        """Verify the descriptor, and receive bytes into a buffer. Return their number."""
        count: int = self._repeat(super().recv_into, select.POLLIN, *args)
        return count

    def send(self, *args: Any) -> int:
        """Verify the descriptor, and send bytes. Return the number of bytes that were sent."""
        count: int = self._repeat(super().send, select.POLLOUT, *args)
        return count

    def sendall(self, data: Any, *args: Any) -> None:
        """Send all bytes, and verify the descriptor before each part."""
        with memoryview(data) as view, view.cast("B") as content:
            sent = 0
            while sent < len(content):
                sent += self.send(content[sent:], *args)


class VerifiedTLSSocket(_Verified, ssl.SSLSocket):
    """A TLS socket. Its other methods call `read` and `send`."""

    def read(self, *args: Any) -> Any:
        """Verify the descriptor, and read decrypted bytes."""
        return self._repeat(super().read, select.POLLIN, *args)

    def send(self, *args: Any) -> int:
        """Verify the descriptor, and send bytes. Return the number of bytes that were sent."""
        count: int = self._repeat(super().send, select.POLLOUT, *args)
        return count


def verified(sock: Any) -> Any:
    """Make a plain TLS socket verify its descriptor. Return it, and any other socket unchanged.

    `ssl` creates the TLS sockets itself. So the class of the object is replaced, which is possible because the new
    class adds no field (`__slots__`).
    """
    if type(sock) is _TLSSocket:
        tls: Any = sock
        tls.identity, tls.seconds = _identity_of(sock.fileno()), sock.gettimeout()
        sock.setblocking(False)
        tls.__class__ = VerifiedTLSSocket
    return sock


def is_intact(sock: Any) -> bool:
    """Return whether a socket still has its descriptor, or for TLS inside TLS, the innermost socket."""
    while sock is not None and not isinstance(sock, _Verified):
        sock = getattr(sock, "socket", None)
    return sock is None or sock.is_intact()


def connect(
    host: str, port: int, seconds: float | None, source: Any = None, options: Iterable[Any] | None = None
) -> Any:
    """Open a verified TCP connection, in at most `seconds` per address.

    Raises OSError, for example socket.gaierror and socket.timeout.
    """
    failure = OSError("getaddrinfo returned no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host.strip("[]"), port, 0, socket.SOCK_STREAM
    ):
        try:
            sock = _open(family, kind, protocol)
        except OSError as error:  # this machine may not have the address family
            failure = error
            continue
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(seconds)
            if source:
                sock.bind(source)
            sock.connect(address)
            return sock
        except OSError as error:
            failure = error
            sock.close()
    raise failure


def _open(family: int, kind: int, protocol: int) -> VerifiedSocket:
    sock = VerifiedSocket(family, kind, protocol)
    unused = []
    try:
        while _fileno(sock) < _MIN_FD:  # otherwise the script's prints would go into the connection
            unused.append(sock)
            sock = VerifiedSocket(family, kind, protocol)
    finally:
        for spare in unused:
            spare.close()
    return sock


def _identity_of(fd: int) -> tuple[int, int]:
    """Return device and inode of a descriptor."""
    try:
        status = os.fstat(fd)
    except OSError:
        return _CLOSED
    return status.st_dev, status.st_ino
