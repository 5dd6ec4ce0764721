"""The checkpoint file beside a journal segment, and its spare.

A batch whose entry is missing is sent a second time by the next process. So an entry that the file does not take (a
full disk, another user, a file that is not ours) is written to a spare checkpoint in a private temporary directory, and
again to the file as soon as the file takes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amllog import interrupts, own_files
from amllog.acknowledgements import Entry, parse

MAX_BYTES = 64 * 1024 * 1024
_APPEND = os.O_RDWR | os.O_APPEND


class Checkpoint:
    """The checkpoint file of one segment."""

    def __init__(self, segment: Path) -> None:
        self.path = segment.with_suffix(".ack")
        # Why the files cannot be used, which leaves unknown what was sent.
        self.unreadable: OSError | None = None
        self.unwritable = ""  # why an entry could be written nowhere
        self.invalid = 0  # complete lines that are no valid entries
        self._fd = -1
        self._identity = (0, 0)
        self._pending: list[bytes] = []  # entries that the file has not taken yet
        self._spare = _spare_path(segment)

    def entries(self) -> list[Entry]:
        """The valid entries of the file and of its spare; none where there is no file. Sets `unreadable`, `invalid`."""
        self.invalid = 0
        found = self._read(self.path)
        # A kill between the copy into the file and the deletion of the spare leaves an entry in both.
        spare = self._read(self._spare) if self._spare is not None and _is_private(self._spare) else []
        more = [entry for entry in spare if entry not in found]
        if self.unreadable:
            return []
        self._pending = [entry.line for entry in more]
        return found + more

    def open(self) -> bool:
        """Open the file for entries before anything is sent, so that a later entry does not depend on its path."""
        if own_files.is_same(self._fd, self._identity):
            return True
        self._fd = -1
        try:
            fd = self._opened()
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            self.unwritable = error.strerror or type(error).__name__
            return False
        self._fd, self._identity = fd, own_files.identity_of(fd)
        return True

    def append(self, entry: Entry) -> None:
        """Write an entry. Raises nothing: `unwritable` says why an entry could be written nowhere."""
        self._pending.append(entry.line)
        if self.open():
            try:
                self._write_pending()
            except OSError as error:
                if interrupts.is_from_signal(error):
                    raise
                self.unwritable = error.strerror or type(error).__name__
        if not self._pending or self._write_spare(entry.line):
            self.unwritable = ""

    def close(self) -> None:
        """Write what is still pending, and close the file."""
        if self._pending and self.open():
            with interrupts.suppress(OSError):
                self._write_pending()
        fd, self._fd = self._fd, -1  # first: another thread may open a file under this number
        own_files.close_same(fd, self._identity)

    def delete(self) -> None:
        """Delete the file, if it is a checkpoint, and the spare."""
        with interrupts.suppress(OSError):
            fd = own_files.open_regular(self.path)
            identity, head = own_files.identity_of(fd), own_files.head_of(fd)
            own_files.close_same(fd, identity)
            if own_files.is_checkpoint(head):
                own_files.delete_same(self.path, identity)
        self._delete_spare()
        self._pending.clear()
        self.close()

    def _read(self, path: Path) -> list[Entry]:
        """The valid entries of one file; none where there is no file. Sets `unreadable`."""
        try:
            return list(self._valid(own_files.read_bounded(path, MAX_BYTES)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            reason = error.strerror or type(error).__name__
            self.unreadable = OSError(error.errno, f"{path.name} {reason}")
            return []

    def _valid(self, data: bytes) -> Iterator[Entry]:
        for line in data.splitlines():
            entry = parse(line)
            if entry is not None:
                yield entry
            elif line.endswith(b"}"):  # else a kill has torn it
                self.invalid += 1

    def _opened(self) -> int:
        with contextlib.suppress(FileExistsError), own_files.opened_directory(self.path.parent) as directory:
            name = self.path if directory is None else self.path.name
            return own_files.open_regular(name, _APPEND | os.O_CREAT | os.O_EXCL, directory=directory)
        fd = own_files.open_regular(self.path, _APPEND)
        if own_files.is_checkpoint(own_files.head_of(fd)):
            return fd
        os.close(fd)
        raise OSError(errno.EEXIST, "the file beside the segment is not a checkpoint of amllog")

    def _write_pending(self) -> None:
        while self._pending:
            _append_line(self._fd, self._pending[0])
            del self._pending[0]
        self._delete_spare()

    def _write_spare(self, line: bytes) -> bool:
        """Write one entry to the spare checkpoint; whether that was possible."""
        if self._spare is None:
            return False
        try:
            own_files.make_private(self._spare.parent.parent)
            own_files.make_private(self._spare.parent)
            try:
                fd = own_files.open_regular(self._spare, _APPEND | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                fd = own_files.open_regular(self._spare, _APPEND)
            identity = own_files.identity_of(fd)
            try:
                _append_line(fd, line)
            finally:
                own_files.close_same(fd, identity)
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            return False
        return True

    def _delete_spare(self) -> None:
        if self._spare is not None and _is_private(self._spare):
            with interrupts.suppress(OSError):
                os.unlink(self._spare)


def _append_line(fd: int, line: bytes) -> None:
    """Append a line; first end a line before it that a kill or a full disk has torn. Raises OSError."""
    size = os.fstat(fd).st_size
    if size and own_files.read_at(fd, 1, size - 1) != b"\n":
        line = b"\n" + line
    if os.write(fd, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _spare_path(segment: Path) -> Path | None:
    """Where the spare checkpoint of a segment is: one directory for each user, one name for each segment's path.

    None where there is no temporary directory, or the working directory of a relative path was deleted.
    """
    user = getattr(os, "geteuid", lambda: 0)()
    try:
        place = hashlib.sha256(os.fsencode(segment.absolute().parent)).hexdigest()[:12]
        return Path(tempfile.gettempdir(), f"amllog-{user}", "checkpoints", f"{place}-{segment.stem}.ack")
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return None


def _is_private(spare: Path) -> bool:
    """Whether the directory of the spare exists, and nobody else could have written there."""
    return own_files.is_private(spare.parent.parent) and own_files.is_private(spare.parent)
