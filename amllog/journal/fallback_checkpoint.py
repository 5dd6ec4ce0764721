"""The fallback checkpoint of a segment, in a private temporary directory, for entries that its checkpoint rejects.

`TMPDIR` may be on the disk that is full, so `/tmp` and `/var/tmp` are tried as well. All of them are read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.checkpoint_entries import MAX_BYTES, read_lines
from amllog.process import descriptors, interrupts

_APPEND = os.O_RDWR | os.O_APPEND
_BLOCK_BYTES = 4096  # a file system allocates at least this much
_AHEAD_BYTES = 1024


class FallbackCheckpoint:
    """The fallback of one segment, in the first temporary directory where it could be written."""

    def __init__(self, segment: Path) -> None:
        with interrupts.suppress(OSError):  # the working directory was deleted
            segment = segment.absolute()
        self._segment = segment
        self.path: Path | None = None  # of the file with the last entries
        self._cached_paths: list[Path] | None = None

    @property
    def _paths(self) -> list[Path]:
        # Not `functools.cached_property`: before Python 3.12 it has a lock, which a fork may leave locked in the child.
        if self._cached_paths is None:
            self._cached_paths = _candidates(self._segment)
        return self._cached_paths

    def lines(self) -> list[bytes]:
        """Return the lines of all fallbacks, each once. Raises OSError if one of them cannot be read."""
        lines = dict[bytes, None]()
        for path in filter(_is_private, self._paths):
            with interrupts.suppress(FileNotFoundError), open_file(path) as fd:
                lines.update(dict.fromkeys(read_lines(fd)))
                self.path = path
        return list(lines)

    def write(self, lines: Sequence[bytes]) -> bool:
        """Append lines in the first directory where this is possible. Return whether there was one."""
        for path in self._paths:
            try:
                _append(path, lines)
            except OSError as error:
                if interrupts.is_from_signal(error):
                    raise
                continue
            self.path = path
            return True
        return False

    def delete(self) -> None:
        """Delete the fallbacks, because the checkpoint has their entries."""
        for path in filter(_is_private, self._paths):
            with interrupts.suppress(OSError):
                os.unlink(path)
        self.path = None


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[int]:
    """Open a regular file, and close it at the end of the block. Raises OSError."""
    fd = own_files.open_regular(path)
    identity = descriptors.read_identity(fd)
    try:
        yield fd
    finally:
        descriptors.close_if_same(fd, identity)


def append_line(fd: int, line: bytes) -> None:
    """Append a line. A line before it that a kill or a full disk has torn is ended first. Raises OSError.

    Near the end of a block of the disk, empty lines start the next block, so that the next entries fit on a full disk.
    """
    size = os.fstat(fd).st_size
    if size and own_files.read_at(fd, 1, size - 1) != b"\n":
        line = b"\n" + line
    if size + len(line) > MAX_BYTES:  # no reader accepts a larger file
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if os.write(fd, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    free = -(size + len(line)) % _BLOCK_BYTES
    if free < _AHEAD_BYTES:
        with interrupts.suppress(OSError):
            os.write(fd, b"\n" * (free + 1))


def _append(path: Path, lines: Sequence[bytes]) -> None:
    own_files.make_private(path.parent.parent)
    own_files.make_private(path.parent)
    try:
        fd = own_files.open_regular(path, _APPEND | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        fd = own_files.open_regular(path, _APPEND)
    identity = descriptors.read_identity(fd)
    try:
        for line in lines:
            append_line(fd, line)
    finally:
        descriptors.close_if_same(fd, identity)


def _candidates(segment: Path) -> list[Path]:
    """Return the possible paths of a segment's fallback: a directory for each user, a name for each segment's path.

    Empty if the working directory of a relative path was deleted.
    """
    user = getattr(os, "geteuid", lambda: 0)()
    directories = ["/tmp", "/var/tmp"] if os.name == "posix" else []
    with interrupts.suppress(OSError):  # no temporary directory has space
        directories.insert(0, tempfile.gettempdir())
    with interrupts.suppress(OSError):
        digest = hashlib.sha256(os.fsencode(segment.absolute().parent)).hexdigest()[:12]
        name = Path(f"amllog-{user}", "checkpoints", f"{digest}-{segment.stem}.ack")
        return [directory / name for directory in map(Path, dict.fromkeys(directories))]
    return []


def _is_private(fallback: Path) -> bool:
    """Return whether the directory of the fallback exists, and no other user could have written to it."""
    return own_files.is_private(fallback.parent.parent) and own_files.is_private(fallback.parent)
