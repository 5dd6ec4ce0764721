"""Streams of a connection with a limit: what a head may have, and an answer that is written byte by byte.

In: the stream of a socket. Out: the same methods, as far as they are called.
"""

from __future__ import annotations

from http.client import LineTooLong
from typing import Any

from amllog.local.faults import Faults

HEAD_MAX_BYTES = 64 * 1024


class SlowWriter:
    """Writes byte by byte, until the faults are cleared."""

    def __init__(self, wfile: Any, seconds: float, faults: Faults) -> None:
        self._wfile, self._seconds, self._faults = wfile, seconds, faults
        self.closed = False

    def write(self, data: bytes) -> None:
        """Each byte after a pause."""
        for byte in data:
            if self._seconds and self._faults.wait(self._seconds):
                self._seconds = 0.0
            self._wfile.write(bytes([byte]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wfile, name)


class LimitedHead:
    """The lines of a head, HEAD_MAX_BYTES at most in all: http.server limits each line, and their number."""

    def __init__(self, rfile: Any) -> None:
        self._rfile, self._left = rfile, HEAD_MAX_BYTES

    def readline(self, size: int = -1) -> bytes:
        """The next line."""
        line: bytes = self._rfile.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("head")
        return line
