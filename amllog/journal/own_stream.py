"""Reads an open file of ours in parts, with the check of its descriptor before each.

In: a descriptor. Out: a stream, which owns the descriptor.
"""

from __future__ import annotations

import errno
import io
import os
from typing import Any

from amllog.journal import own_files
from amllog.process import descriptors


class OwnStream(io.RawIOBase):
    """Reads an open file as long as its descriptor stands for it: the script may close it, and use the number."""

    def __init__(self, fd: int) -> None:
        self.identity = descriptors.read_identity(fd)
        self._fd, self._at = fd, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def readinto(self, buffer: Any) -> int:
        """Read from where the last read ended, whatever others do with the descriptor. Raises OSError."""
        self.verify()
        data = own_files.read_at(self._fd, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from there. Raises OSError."""
        self.verify()
        ends = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._fd).st_size}
        self._at = ends[whence] + offset
        return self._at

    def verify(self) -> None:
        """Raise OSError if the descriptor stands for another file, or for none."""
        if not descriptors.is_same(self._fd, self.identity):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def close(self) -> None:
        """Close the descriptor if it still stands for the file."""
        if not self.closed:
            descriptors.close_if_same(self._fd, self.identity)
        super().close()
