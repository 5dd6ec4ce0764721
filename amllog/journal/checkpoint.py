"""The checkpoint file beside a journal segment.

A batch whose entry is missing is sent a second time by the next process. Four rules follow:

* An entry that the file does not take (a full disk, another user, a file that is not ours) is written to a fallback
  checkpoint, and again to the file as soon as the file takes it.
* A file that others have deleted, moved, replaced or changed is written again at its place, with all that was noted.
* Only a file that is recognised as a checkpoint is written to or deleted (`checkpoint_file`).
* A new file gets an entry without progress at once: the disk then has a block for it, in which the next entries fit.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.checkpoint_entries import (
    MAX_BYTES,
    CheckpointEntry,
    Position,
    is_damaged,
    lacking,
    lines_of,
    parse,
    sums_of,
)
from amllog.journal.checkpoint_signature import is_checkpoint, is_usable, open_to_append, require_usable
from amllog.journal.fallback_checkpoint import FallbackCheckpoint, append_line, opened
from amllog.process import descriptors, interrupts

_NO_FILE = (0, 0)


class Checkpoint:
    """The checkpoint file of one segment."""

    def __init__(self, segment: Path, identity: descriptors.Identity) -> None:
        """`identity`: of the segment's file."""
        self.path = segment.with_suffix(".ack")
        # Why the files cannot be used, which leaves unknown what was sent.
        self.unreadable: OSError | None = None
        self.unwritable = ""  # why an entry could be written nowhere
        self.invalid = 0  # complete lines that are no valid entries
        self._segment, self._segment_identity = segment, identity
        self._fd = -1
        self._identity = _NO_FILE  # of the file at the path that has all that was noted but `_pending`
        self._size = 0  # it has at least so many bytes
        self._recorded: dict[str, Position] = {}
        self._pending: list[bytes] = []  # entries that the file has not taken yet
        self._in_fallback = 0  # so many of them are in the fallback
        self._created = False  # the file, by this process
        self._used = False  # whether this process writes to the file
        self._reason = ""  # why the file has not taken them
        self._fallback = FallbackCheckpoint(segment)
        self._process = os.getpid()

    @property
    def warning(self) -> str:
        """A sentence if records may be sent again because the file does not say that they were sent. Otherwise ""."""
        if self.unwritable:
            return f"{self.path}: what was sent cannot be noted ({self.unwritable}), and may come twice"
        if self._pending:
            return (
                f"{self.path}: what was sent is noted in {self._fallback.path} only ({self._reason}),"
                " and may come twice if a process does not find this file"
            )
        return ""

    def read_positions(self, size: int) -> dict[str, Position]:
        """The progress of each outlet in a segment of `size` bytes, read anew. Sets `unreadable`, `invalid`."""
        descriptors.close_if_same(self._fd, self._identity)
        self._fd, self._identity, self.invalid = -1, _NO_FILE, 0
        self._recorded, excess = sums_of(self._entries())
        self.invalid += excess
        found = {outlet: noted.copy() for outlet, noted in self._recorded.items()}
        for progress in found.values():
            progress.fit(size)
        return found

    def entries(self, outlet: str) -> Iterator[CheckpointEntry]:
        """The entries of one outlet, read anew, the oldest first. Raises OSError if they cannot be read now."""
        reader = Checkpoint(self._segment, self._segment_identity)
        yield from (entry for entry in reader._entries() if entry.outlet == outlet)
        if reader.unreadable:
            raise reader.unreadable

    def is_at(self, path: Path) -> bool:
        """Whether the file is at this path."""
        return self._identity != _NO_FILE and own_files.is_at(path, self._identity)

    def move(self, segment: Path, identity: descriptors.Identity) -> None:
        """Continue beside another segment, or another path of this one, with all that was noted."""
        path, file, fallback = self.path, self._identity, self._fallback
        self.path, self._segment, self._segment_identity = segment.with_suffix(".ack"), segment, identity
        self._fallback, self._in_fallback = FallbackCheckpoint(segment), 0
        if self._identity == _NO_FILE and not self._recorded:
            return
        if not self.is_at(self.path):
            self._start_over()
        self._write(self.open())
        if not self.unwritable and path != self.path:
            fallback.delete()
            if own_files.is_at(path, file):
                self._delete_file(path)

    def open(self) -> bool:
        """Open the file for entries before anything is sent, so that a later entry does not depend on its path."""
        self._used = True
        if self._is_lost():
            self._start_over()
        elif self._size > MAX_BYTES // 2 and not self._pending:
            self._shorten()
        if descriptors.is_same(self._fd, self._identity):
            return True
        self._fd = -1
        try:
            fd, created = open_to_append(self.path)
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            self._reason = error.strerror or type(error).__name__
            return False
        self._created = self._created or created
        self._fd, self._identity, self._size = fd, descriptors.read_identity(fd), os.fstat(fd).st_size
        return True

    def reserve(self, outlet: str) -> None:
        """Open the file, and write an entry without progress to a new one while the disk has room.

        Later its directory may be renamed, the user changed or the disk full.
        """
        if self.open() and not self._size:
            with interrupts.suppress(OSError):
                self._append(CheckpointEntry(outlet, 0, 0, {}, []).line)

    def append(self, entry: CheckpointEntry) -> None:
        """Write an entry. Raises nothing: `unwritable` says why an entry could be written nowhere."""
        opened = self.open()  # before the entry is among what was noted
        noted = self._recorded.setdefault(entry.outlet, Position())
        if (entry.offset, entry.retry) == (noted.offset, noted.retry):  # equal lines would count once
            entry = entry._replace(mark=secrets.token_hex(4))
        noted.add(entry)
        self._pending.append(entry.line)
        self._write(opened)

    def write_pending(self) -> None:
        """Write what the file has not taken yet."""
        if self._pending and self._process == os.getpid():  # else it is the parent's
            self._write(self.open())

    def close(self) -> None:
        """Write the pending entries, unless the file was only read, and close it."""
        if self._used:
            self.write_pending()
        fd, self._fd = self._fd, -1  # first: another thread may open a file under this number
        descriptors.close_if_same(fd, self._identity)

    def delete(self) -> None:
        """Delete the file, if it is a checkpoint, and the fallback."""
        self._delete_file(self.path)
        self._fallback.delete()
        self._pending.clear()
        self.close()

    def _delete_file(self, path: Path) -> None:
        with interrupts.suppress(OSError):
            fd = own_files.open_regular(path)
            identity = descriptors.read_identity(fd)
            try:
                created = self._created and identity == self._identity and not os.fstat(fd).st_size
                deletable = not own_files.is_linked(fd) and (created or is_checkpoint(fd))
            finally:
                descriptors.close_if_same(fd, identity)
            if deletable:
                own_files.delete_if_same(path, identity)

    def _entries(self) -> Iterator[CheckpointEntry]:
        """The valid entries of the file and of its fallback. Sets `unreadable` if they cannot be read."""
        try:
            # A kill between the copy into the file and the deletion of the fallback leaves a line in both.
            more = dict.fromkeys(self._fallback.lines())
            with interrupts.suppress(FileNotFoundError, NotADirectoryError), opened(self.path) as fd:
                require_usable(fd)
                for line in lines_of(fd):
                    more.pop(line, None)
                    yield from self._valid(line)
                self._identity, self._size = descriptors.read_identity(fd), os.fstat(fd).st_size
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            reason = error.strerror or type(error).__name__
            self.unreadable = OSError(error.errno, f"{self.path.name} {reason}")
            return
        self._pending = [entry.line for line in more for entry in self._valid(line)]
        self._in_fallback = len(self._pending)
        yield from filter(None, map(parse, self._pending))

    def _valid(self, line: bytes) -> Iterator[CheckpointEntry]:
        entry = parse(line)
        if entry is not None:
            yield entry
        elif is_damaged(line):
            self.invalid += 1

    def _is_lost(self) -> bool:
        """Whether others have deleted, moved, replaced or changed the file, but not the segment beside it."""
        if self._identity == _NO_FILE or not own_files.is_at(self._segment, self._segment_identity):
            return False
        if not own_files.is_at(self.path, self._identity):
            return True
        fd = self._fd
        return descriptors.is_same(fd, self._identity) and (
            os.fstat(fd).st_size < self._size or not is_usable(fd)
        )

    def _start_over(self) -> None:
        """Make pending again all notes that are not in the file that is now at the path."""
        there: dict[str, Position] = {}
        with interrupts.suppress(OSError), opened(self.path) as fd:
            there, _ = sums_of(filter(None, map(parse, lines_of(fd) if is_checkpoint(fd) else ())))
        self._pending = [entry.line for entry in lacking(self._recorded, there)]
        self._fallback.delete()
        self._in_fallback = 0
        descriptors.close_if_same(self._fd, self._identity)
        self._fd, self._identity, self._size = -1, _NO_FILE, 0

    def _shorten(self) -> None:
        """Begin a new file with the sums. They are in the fallback until the new file has them."""
        sums = [entry.line for entry in lacking(self._recorded, {})]
        if not self._fallback.write(sums):
            return
        if own_files.delete_if_same(self.path, self._identity):
            descriptors.close_if_same(self._fd, self._identity)
            self._fd, self._identity, self._size = -1, _NO_FILE, 0
            self._pending, self._in_fallback = sums, len(sums)
        else:
            self._fallback.delete()

    def _write(self, opened: bool) -> None:
        """Write what is pending to the file, else to the fallback."""
        if opened:
            try:
                self._append_pending()
                self.unwritable = ""
                return
            except OSError as error:
                if interrupts.is_from_signal(error):
                    raise
                self._reason = error.strerror or type(error).__name__
        new = self._pending[self._in_fallback :]
        if not new or self._fallback.write(new):
            self._in_fallback, self.unwritable = len(self._pending), ""
        else:
            self.unwritable = self._reason

    def _append_pending(self) -> None:
        while self._pending:
            self._append(self._pending[0])
            del self._pending[0]
            self._in_fallback = max(0, self._in_fallback - 1)
        if self._fallback.path is not None:
            self._fallback.delete()

    def _append(self, line: bytes) -> None:
        append_line(self._fd, line)
        self._size += len(line)
