"""The checkpoint file beside a journal segment, and its spare.

A batch whose entry is missing is sent a second time by the next process. So an entry that the file does not take (a
full disk, another user, a file that is not ours) is written to a spare checkpoint in a private temporary directory, and
again to the file as soon as the file takes it.

A file is a checkpoint if its first line is an entry. Any other file of that name, and one with several hard links, is
neither written to nor deleted; what was sent of its segment is unknown then, so nothing of it is sent.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amllog import interrupts, own_files, record
from amllog.acknowledgements import MAX_LINE_BYTES, Entry, parse

MAX_BYTES = 64 * 1024 * 1024
_BEGINNING = b'{"outlet":'
_PART_BYTES = 64 * 1024
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
        self._created = False  # by this process
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
            identity = own_files.identity_of(fd)
            try:
                created = self._created and identity == self._identity and not os.fstat(fd).st_size
                deletable = not own_files.is_linked(fd) and (created or is_checkpoint(fd))
            finally:
                own_files.close_same(fd, identity)
            if deletable:
                own_files.delete_same(self.path, identity)
        self._delete_spare()
        self._pending.clear()
        self.close()

    def _read(self, path: Path) -> list[Entry]:
        """The valid entries of one file; none where there is no file. Sets `unreadable`."""
        try:
            if path == self.path:
                self._verify()
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

    def _verify(self) -> None:
        """Raise OSError if there is a file in which no entries may be written."""
        fd = own_files.open_regular(self.path)
        identity = own_files.identity_of(fd)
        try:
            _require_usable(fd)
        finally:
            own_files.close_same(fd, identity)

    def _opened(self) -> int:
        with contextlib.suppress(FileExistsError), own_files.opened_directory(self.path.parent) as directory:
            name = self.path if directory is None else self.path.name
            fd = own_files.open_regular(name, _APPEND | os.O_CREAT | os.O_EXCL, directory=directory)
            self._created = True
            return fd
        fd = own_files.open_regular(self.path, _APPEND)
        try:
            _require_usable(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

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


def is_checkpoint(fd: int) -> bool:
    """Whether an open file begins with an entry of a checkpoint; a torn one may precede it."""
    return any(map(_is_entry, _first_lines(fd)[:-1]))


def _require_usable(fd: int) -> None:
    """Raise OSError unless entries may be written to the file: a checkpoint, or one that is empty or torn."""
    if own_files.is_linked(fd):
        raise OSError(errno.EMLINK, "has several hard links")
    if os.fstat(fd).st_size and not is_checkpoint(fd):
        lines = _first_lines(fd)
        if len(lines) != 1 or len(lines[0]) > MAX_LINE_BYTES:  # one line is no torn entry
            raise OSError(errno.EEXIST, "is not a checkpoint of amllog")


def _first_lines(fd: int) -> list[bytes]:
    """The first two whole lines, and what follows; [] if the file does not begin as a checkpoint."""
    data = own_files.head_of(fd)
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
    return parse(line) is not None and set(record.decode(line) or ()) <= set(Entry._fields)


def _is_begun(line: bytes) -> bool:
    return line.replace(b" ", b"", 1).startswith(_BEGINNING)


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
