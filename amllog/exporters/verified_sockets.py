"""Sockets that never use a descriptor that is no longer theirs.

A script may close every descriptor of its process (`os.closerange`, python-daemon's `DaemonContext`) or put its own
file over one (`os.dup2`). The number of a kept connection then belongs to the script. The sockets of this module
remember which socket they are (device and inode) and compare before each system call. A socket that has lost its
descriptor detaches from the number without closing it, and its operations raise `ConnectionAbortedError`.

No call waits inside the system: while a call waits, the script can replace the descriptor. Waiting is a `poll` of
its own, and the comparison comes after it. Out of reach is only what another thread does between the comparison and
the call, a few microseconds, and TLS handshakes.
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
_FIRST = 3  # lower numbers are standard streams, also where the script has closed them
_NOTHING = (-1, -1)  # the identity of a closed descriptor
# gevent may replace these names of the standard library later; the classes below stay what they are.
_fileno, _TLSSocket = socket.socket.fileno, ssl.SSLSocket

# Not a base when it runs: a TLS socket could not become one of ours then (`verified`).
if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object


class _Verified(_Socket):
    """The methods that both kinds of sockets share. `__slots__`: see `verified`."""

    __slots__ = ()
    identity: tuple[int, int]
    seconds: float | None

    def is_intact(self) -> bool:
        """Return whether the descriptor is still this socket's."""
        fd = _fileno(self)
        return fd >= 0 and _identity_of(fd) == self.identity

    def abandon(self) -> None:
        """Forget the descriptor, which belongs to somebody else, without closing it."""
        self.detach()
        self.close()

    def settimeout(self, value: float | None) -> None:
        """Set how long an operation may wait; the descriptor itself stays non-blocking."""
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
        super()._real_close(*args)  # type: ignore[misc]  # of the standard library's Python part

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
        """Call until it need not wait; raises socket.timeout after `seconds`."""
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
        left = None if deadline is None else deadline - time.monotonic()
        waiting = select.poll()
        waiting.register(self._verify(), event)
        if left is not None and (left <= 0 or not waiting.poll(left * 1000)):
            raise socket.timeout("timed out")
        if left is None:
            waiting.poll()


class VerifiedSocket(_Verified, socket.socket):
    """A TCP socket."""

    __slots__ = ("identity", "seconds")

    def __init__(self, family: int = -1, kind: int = -1, protocol: int = -1, fd: int | None = None) -> None:
        self.identity, self.seconds = _NOTHING, None
        super().__init__(family, kind, protocol, fd)
        super().setblocking(False)
        self.identity = _identity_of(_fileno(self))

    def connect(self, address: Any) -> None:
        """Connect within the time that an operation may wait. Raises OSError, also as socket.timeout."""
        self._verify()
        failed = super().connect_ex(address)
        if failed in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            deadline = None if self.seconds is None else time.monotonic() + self.seconds
            self._wait(select.POLLOUT, deadline)
            self._verify()
            failed = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))

    def recv(self, *args: Any) -> bytes:
        """Receive bytes, once the descriptor was verified."""
        found: bytes = self._repeat(super().recv, select.POLLIN, *args)
        return found

    def recv_into(self, *args: Any) -> int:
        """Receive bytes into a buffer, once the descriptor was verified; return how many."""
        count: int = self._repeat(super().recv_into, select.POLLIN, *args)
        return count

    def send(self, *args: Any) -> int:
        """Send bytes, once the descriptor was verified; return how many were taken."""
        count: int = self._repeat(super().send, select.POLLOUT, *args)
        return count

    def sendall(self, data: Any, *args: Any) -> None:
        """Send all bytes; the descriptor is verified before each part."""
        with memoryview(data) as view, view.cast("B") as left:
            sent = 0
            while sent < len(left):
                sent += self.send(left[sent:], *args)


class VerifiedTLSSocket(_Verified, ssl.SSLSocket):
    """A TLS socket: `read` and `send` are what its other methods call."""

    def read(self, *args: Any) -> Any:
        """Read decrypted bytes, once the descriptor was verified."""
        return self._repeat(super().read, select.POLLIN, *args)

    def send(self, *args: Any) -> int:
        """Send bytes, once the descriptor was verified; return how many were taken."""
        count: int = self._repeat(super().send, select.POLLOUT, *args)
        return count


def verified(found: Any) -> Any:
    """The socket, which from now on verifies its descriptor. Anything but a plain TLS socket is returned as it is.

    TLS sockets are made inside `ssl`. So the class is replaced: it adds no field of its own (`__slots__`).
    """
    if type(found) is _TLSSocket:
        made: Any = found
        made.identity, made.seconds = _identity_of(found.fileno()), found.gettimeout()
        found.setblocking(False)
        made.__class__ = VerifiedTLSSocket
    return found


def is_intact(found: Any) -> bool:
    """Return whether a socket, or the one below a TLS connection inside another, still has its descriptor."""
    while found is not None and not isinstance(found, _Verified):
        found = getattr(found, "socket", None)
    return found is None or found.is_intact()


def connect(
    host: str, port: int, seconds: float | None, source: Any = None, options: Iterable[Any] | None = None
) -> Any:
    """Open a verified TCP connection, in at most `seconds` per address.

    Raises OSError, also as socket.gaierror and socket.timeout.
    """
    failure = OSError("getaddrinfo returned no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host.strip("[]"), port, 0, socket.SOCK_STREAM
    ):
        try:
            made = _opened(family, kind, protocol)
        except OSError as error:  # an address family that this machine does not have
            failure = error
            continue
        try:
            for option in options or ():
                made.setsockopt(*option)
            made.settimeout(seconds)
            if source:
                made.bind(source)
            made.connect(address)
            return made
        except OSError as error:
            failure = error
            made.close()
    raise failure


def _opened(family: int, kind: int, protocol: int) -> VerifiedSocket:
    made = VerifiedSocket(family, kind, protocol)
    spares = []
    try:
        while _fileno(made) < _FIRST:  # what somebody prints would go into the connection
            spares.append(made)
            made = VerifiedSocket(family, kind, protocol)
    finally:
        for spare in spares:
            spare.close()
    return made


def _identity_of(fd: int) -> tuple[int, int]:
    """Return device and inode of a descriptor."""
    try:
        found = os.fstat(fd)
    except OSError:
        return _NOTHING
    return found.st_dev, found.st_ino
