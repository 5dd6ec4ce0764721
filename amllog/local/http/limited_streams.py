"""Wrappers of the streams of a connection: a limit for the size of a request head, and a slow response.

They have only the methods that `http.server` calls.
"""

from __future__ import annotations

from http.client import LineTooLong
from typing import Any

from amllog.local.faults import Faults

HEAD_MAX_BYTES = 64 * 1024


class SlowWriter:
    """Write a response byte by byte, with a pause before each, until the faults are cleared."""

    def __init__(self, wfile: Any, seconds: float, faults: Faults) -> None:
        self._wfile, self._seconds, self._faults = wfile, seconds, faults
        self.closed = False

    def write(self, data: bytes) -> None:
        """Write the bytes one at a time."""
        for byte in data:
            if self._seconds and self._faults.wait(self._seconds):
                self._seconds = 0.0
            self._wfile.write(bytes([byte]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wfile, name)


class LimitedHead:
    """Read the lines of a head, up to HEAD_MAX_BYTES in total. `http.server` limits each line and their number only."""

    def __init__(self, rfile: Any) -> None:
        self._rfile, self._remaining = rfile, HEAD_MAX_BYTES

    def readline(self, size: int = -1) -> bytes:
        """Return the next line. Raises LineTooLong beyond the limit."""
        line: bytes = self._rfile.readline(size)
        self._remaining -= len(line)
        if self._remaining < 0:
            raise LineTooLong("head")
        return line
