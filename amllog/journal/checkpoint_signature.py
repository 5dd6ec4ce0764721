"""Recognize a checkpoint by its first line, which is an entry with the members that amllog writes.

Any other file with the name of a checkpoint, and a file with several hard links, is neither written to nor deleted. It
is then unknown what was sent of the segment, so nothing of the segment is sent.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.checkpoint_entries import MAX_LINE_BYTES, MEMBERS, parse_entry
from amllog.process import descriptors, interrupts
from amllog.record import envelope

_BEGINNING = b'{"outlet":'
_PART_BYTES = 64 * 1024
_APPEND = os.O_RDWR | os.O_APPEND


def is_checkpoint(fd: int) -> bool:
    """Return whether an open file begins with an entry of a checkpoint. A torn entry may precede it."""
    return any(map(_is_entry, _first_lines(fd)[:-1]))


def require_usable(fd: int) -> None:
    """Raise OSError unless entries may be written to the file: a checkpoint, or one that is empty or torn."""
    if own_files.is_linked(fd):
        raise OSError(errno.EMLINK, "has several hard links")
    if os.fstat(fd).st_size and not is_checkpoint(fd):
        lines = _first_lines(fd)
        is_torn = len(lines) == 1 and len(lines[0]) <= MAX_LINE_BYTES
        if not is_torn:
            raise OSError(errno.EEXIST, "is not a checkpoint of amllog")


def is_usable(fd: int) -> bool:
    """Return whether entries may be written to an open file."""
    with interrupts.suppress(OSError):
        require_usable(fd)
        return True
    return False


def open_to_append(path: Path) -> tuple[int, bool]:
    """Open a checkpoint for appending. Return the descriptor, and whether the file is new. Raises OSError."""
    with interrupts.suppress(FileExistsError), own_files.open_directory(path.parent) as directory:
        name = path if directory is None else path.name
        return own_files.open_regular(name, _APPEND | os.O_CREAT | os.O_EXCL, directory=directory), True
    fd = own_files.open_regular(path, _APPEND)
    try:
        require_usable(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd, False


def delete_checkpoint(path: Path, created: descriptors.Identity | None) -> None:
    """Delete a file if it is a checkpoint. `created`: a file of this process, which may be deleted while empty."""
    with interrupts.suppress(OSError):
        fd = own_files.open_regular(path)
        identity = descriptors.read_identity(fd)
        try:
            is_empty = identity == created and not os.fstat(fd).st_size
            is_deletable = not own_files.is_linked(fd) and (is_empty or is_checkpoint(fd))
        finally:
            descriptors.close_if_same(fd, identity)
        if is_deletable:
            own_files.delete_if_same(path, identity)


def _first_lines(fd: int) -> list[bytes]:
    """Return the first two whole lines, and the bytes after them. [] if the file does not begin as a checkpoint."""
    data = own_files.read_head(fd)
    if not data.replace(b" ", b"", 1).startswith(_BEGINNING):
        return []
    while data.count(b"\n") < 2 and len(data) <= 2 * MAX_LINE_BYTES:
        more = own_files.read_at(fd, max(_PART_BYTES, len(data)), len(data))
        if not more:
            break
        data += more
    return data.split(b"\n", 2)


def _is_entry(line: bytes) -> bool:
    """Return whether a line is an entry, with the members that amllog writes and no others."""
    return parse_entry(line) is not None and set(envelope.decode_line(line) or ()) <= MEMBERS
