"""The fallback checkpoint of a segment, in a private temporary directory: for entries that its file does not take.

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
from amllog.journal.checkpoint_entries import MAX_BYTES, lines_of
from amllog.process import descriptors, interrupts

_APPEND = os.O_RDWR | os.O_APPEND
_BLOCK_BYTES = 4096  # a file system allocates at least so much
_AHEAD_BYTES = 1024


class FallbackCheckpoint:
    """The fallback of one segment, in whichever of the temporary directories it was possible to write it."""

    def __init__(self, segment: Path) -> None:
        with interrupts.suppress(OSError):  # the working directory was deleted
            segment = segment.absolute()
        self._segment = segment
        self.path: Path | None = None  # where the last entries were written to
        self._found: list[Path] | None = None

    @property
    def _paths(self) -> list[Path]:
        # Not `functools.cached_property`: before Python 3.12 it has a lock, which a fork may leave locked in the child.
        if self._found is None:
            self._found = _paths(self._segment)
        return self._found

    def lines(self) -> list[bytes]:
        """The lines of all spares, each once. Raises OSError if there is one that cannot be read."""
        found = dict[bytes, None]()
        for path in filter(_is_private, self._paths):
            with interrupts.suppress(FileNotFoundError), opened(path) as fd:
                found.update(dict.fromkeys(lines_of(fd)))
                self.path = path
        return list(found)

    def write(self, lines: Sequence[bytes]) -> bool:
        """Append lines in the first directory where that is possible. Return whether there was one."""
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
        """Delete the spares: the checkpoint has their entries."""
        for path in filter(_is_private, self._paths):
            with interrupts.suppress(OSError):
                os.unlink(path)
        self.path = None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a regular file, closed at the end. Raises OSError."""
    fd = own_files.open_regular(path)
    identity = descriptors.read_identity(fd)
    try:
        yield fd
    finally:
        descriptors.close_if_same(fd, identity)


def append_line(fd: int, line: bytes) -> None:
    """Append a line; first end a line before it that a kill or a full disk has torn. Raises OSError.

    Near the end of a block of the disk, empty lines begin the next one: the next entries fit also on a full disk.
    """
    size = os.fstat(fd).st_size
    if size and own_files.read_at(fd, 1, size - 1) != b"\n":
        line = b"\n" + line
    if size + len(line) > MAX_BYTES:  # nobody could read the file
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if os.write(fd, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    left = -(size + len(line)) % _BLOCK_BYTES
    if left < _AHEAD_BYTES:
        with interrupts.suppress(OSError):
            os.write(fd, b"\n" * (left + 1))


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


def _paths(segment: Path) -> list[Path]:
    """The possible paths of a segment's fallback: one directory for each user, one name for each segment's path.

    Empty where the working directory of a relative path was deleted.
    """
    user = getattr(os, "geteuid", lambda: 0)()
    above = ["/tmp", "/var/tmp"] if os.name == "posix" else []
    with interrupts.suppress(OSError):  # there is none with room
        above.insert(0, tempfile.gettempdir())
    with interrupts.suppress(OSError):
        place = hashlib.sha256(os.fsencode(segment.absolute().parent)).hexdigest()[:12]
        name = Path(f"amllog-{user}", "checkpoints", f"{place}-{segment.stem}.ack")
        return [one / name for one in map(Path, dict.fromkeys(above))]
    return []


def _is_private(fallback: Path) -> bool:
    """Whether the directory of the fallback exists, and nobody else could have written there."""
    return own_files.is_private(fallback.parent.parent) and own_files.is_private(fallback.parent)
