"""A stream that checks its descriptor before each read. The stream owns the descriptor."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

from amllog.journal import own_files
from amllog.process import descriptors


class OwnStream(io.RawIOBase):
    """Read an open file as long as the descriptor belongs to it. The script may close it, and reuse the number."""

    def __init__(self, fd: int) -> None:
        self.identity = descriptors.read_identity(fd)
        self._fd, self._offset = fd, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def readinto(self, buffer: Any) -> int:
        """Read on, independent of the position of the descriptor. Raises OSError."""
        self.verify()
        data = own_files.read_at(self._fd, len(buffer), self._offset)
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the offset of the next read. Raises OSError."""
        self.verify()
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: os.fstat(self._fd).st_size}
        self._offset = starts[whence] + offset
        return self._offset

    def verify(self) -> None:
        """Raise OSError if the descriptor is closed or belongs to another file."""
        if not descriptors.is_same(self._fd, self.identity):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def close(self) -> None:
        """Close the descriptor if it still belongs to the file."""
        if not self.closed:
            descriptors.close_if_same(self._fd, self.identity)
        super().close()
