"""Recognises a checkpoint file by its first line, which is an entry with the members that amllog writes.

In: an open file. Out: whether it is a checkpoint, and an OSError if no entries may be written to it. Any other file of
that name, and one with several hard links, is neither written to nor deleted. What was sent of its segment is unknown
then, so nothing of it is sent.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.checkpoint_entries import MAX_LINE_BYTES, MEMBERS, parse
from amllog.process import interrupts
from amllog.record import envelope

_BEGINNING = b'{"outlet":'
_PART_BYTES = 64 * 1024
_APPEND = os.O_RDWR | os.O_APPEND


def is_checkpoint(fd: int) -> bool:
    """Whether an open file begins with an entry of a checkpoint. A torn one may precede it."""
    return any(map(_is_entry, _first_lines(fd)[:-1]))


def require_usable(fd: int) -> None:
    """Raise OSError unless entries may be written to the file: a checkpoint, or one that is empty or torn."""
    if own_files.is_linked(fd):
        raise OSError(errno.EMLINK, "has several hard links")
    if os.fstat(fd).st_size and not is_checkpoint(fd):
        lines = _first_lines(fd)
        if len(lines) != 1 or len(lines[0]) > MAX_LINE_BYTES:  # one line is no torn entry
            raise OSError(errno.EEXIST, "is not a checkpoint of amllog")


def is_usable(fd: int) -> bool:
    """Whether entries may be written to an open file."""
    with interrupts.suppress(OSError):
        require_usable(fd)
        return True
    return False


def open_to_append(path: Path) -> tuple[int, bool]:
    """The descriptor of the checkpoint at the path, for entries, and whether it is a new file. Raises OSError."""
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


def _first_lines(fd: int) -> list[bytes]:
    """The first two whole lines, and the bytes after them. [] if the file does not begin as a checkpoint."""
    data = own_files.read_head(fd)
    if not _is_begun(data):
        return []
    while data.count(b"\n") < 2 and len(data) <= 2 * MAX_LINE_BYTES:
        more = own_files.read_at(fd, max(_PART_BYTES, len(data)), len(data))
        if not more:
            break
        data += more
    return data.split(b"\n", 2)


def _is_entry(line: bytes) -> bool:
    """Whether a line is an entry, with the members that amllog writes and no others."""
    return parse(line) is not None and set(envelope.decode_line(line) or ()) <= MEMBERS


def _is_begun(line: bytes) -> bool:
    return line.replace(b" ", b"", 1).startswith(_BEGINNING)
