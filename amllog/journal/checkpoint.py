"""The checkpoint file of a segment: how far each outlet has processed it.

The next process sends a batch again if its entry is missing. Four rules follow:

* An entry that the file does not accept is written to a fallback checkpoint, and to the file as soon as possible. The
  disk may be full, the process may have another user, or the file may not be a checkpoint.
* A file that others have deleted, moved, replaced or changed is written again at its path, with all recorded entries.
* Only a file that is recognized as a checkpoint is written to or deleted (`checkpoint_signature`).
* A new file gets an entry without progress at once. The disk then has a block for the file, in which the next entries
  fit even if the disk is full.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from amllog.journal import checkpoint_signature, own_files
from amllog.journal.checkpoint_entries import (
    MAX_BYTES,
    CheckpointEntry,
    Position,
    is_damaged,
    missing_entries,
    parse_entry,
    read_lines,
    sum_entries,
)
from amllog.journal.fallback_checkpoint import FallbackCheckpoint, append_line, open_file
from amllog.process import descriptors, interrupts

_NO_FILE = (0, 0)


class Checkpoint:
    """The checkpoint file of one segment."""

    def __init__(self, segment: Path, identity: descriptors.Identity) -> None:
        """`identity`: of the segment's file."""
        self.path = segment.with_suffix(".ack")
        self.unreadable: OSError | None = None  # why the files cannot be used
        self.unwritable = ""  # why the last entry could not be written to any file
        self.invalid = 0  # complete lines that are not valid entries
        self._segment, self._segment_identity = segment, identity
        self._fd = -1
        self._identity = _NO_FILE  # of the file at the path that has all recorded entries except `_pending`
        self._size = 0  # the file has at least this many bytes
        self._recorded: dict[str, Position] = {}
        self._pending: list[bytes] = []  # entries that the file has not accepted yet
        self._in_fallback = 0  # this many of them are in the fallback
        self._created = False  # whether this process has created the file
        self._used = False  # whether this process writes to the file
        self._reason = ""  # why the file has not accepted them
        self._fallback = FallbackCheckpoint(segment)
        self._process = os.getpid()

    @property
    def warning(self) -> str:
        """A sentence if records may be sent again because the file does not have their entries. Otherwise ""."""
        if self.unwritable:
            return f"{self.path}: cannot record what was sent ({self.unwritable}), so it may be sent twice"
        if self._pending:
            return (
                f"{self.path}: what was sent is recorded only in {self._fallback.path} ({self._reason}),"
                " so a process that does not find this file may send it twice"
            )
        return ""

    def read_positions(self, size: int) -> dict[str, Position]:
        """Read the position of each outlet in a segment of `size` bytes. Sets `unreadable` and `invalid`."""
        descriptors.close_if_same(self._fd, self._identity)
        self._fd, self._identity, self.invalid = -1, _NO_FILE, 0
        self._recorded, excess = sum_entries(self._entries())
        self.invalid += excess
        positions = {outlet: position.copy() for outlet, position in self._recorded.items()}
        for position in positions.values():
            position.limit(size)
        return positions

    def entries(self, outlet: str) -> Iterator[CheckpointEntry]:
        """Read the entries of one outlet, the oldest first. Raises OSError if they cannot be read now."""
        reader = Checkpoint(self._segment, self._segment_identity)
        yield from (entry for entry in reader._entries() if entry.outlet == outlet)
        if reader.unreadable:
            raise reader.unreadable

    def is_at(self, path: Path) -> bool:
        """Return whether the file is at this path."""
        return self._identity != _NO_FILE and own_files.is_at(path, self._identity)

    def move(self, segment: Path, identity: descriptors.Identity) -> None:
        """Continue beside another segment, or another path of this one, with all recorded entries."""
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
                checkpoint_signature.delete_checkpoint(path, self._identity if self._created else None)

    def open(self) -> bool:
        """Open the file before anything is sent, so that a later entry does not depend on its path."""
        self._used = True
        if self._is_lost():
            self._start_over()
        elif self._size > MAX_BYTES // 2 and not self._pending:
            self._shorten()
        if descriptors.is_same(self._fd, self._identity):
            return True
        self._fd = -1
        try:
            fd, created = checkpoint_signature.open_to_append(self.path)
        except OSError as error:
            if interrupts.is_from_signal(error):
                raise
            self._reason = error.strerror or type(error).__name__
            return False
        self._created = self._created or created
        self._fd, self._identity, self._size = fd, descriptors.read_identity(fd), os.fstat(fd).st_size
        return True

    def reserve(self, outlet: str) -> None:
        """Open the file, and write an entry without progress to a new file while the disk has space.

        Later its directory may be renamed, the user changed or the disk full.
        """
        if self.open() and not self._size:
            with interrupts.suppress(OSError):
                self._append(CheckpointEntry(outlet, 0, 0, {}, []).line)

    def append(self, entry: CheckpointEntry) -> None:
        """Write an entry. Raises nothing: `unwritable` is why an entry could not be written to any file."""
        is_open = self.open()  # before the entry is among the recorded ones
        recorded = self._recorded.setdefault(entry.outlet, Position())
        if (entry.offset, entry.retry) == (recorded.offset, recorded.retry):  # equal lines would count once
            entry = entry._replace(mark=secrets.token_hex(4))
        recorded.add(entry)
        self._pending.append(entry.line)
        self._write(is_open)

    def write_pending(self) -> None:
        """Write the entries that the file has not accepted yet."""
        if self._pending and self._process == os.getpid():  # otherwise they are the parent's
            self._write(self.open())

    def close(self) -> None:
        """Write the pending entries, unless the file was only read, and close it."""
        if self._used:
            self.write_pending()
        fd, self._fd = self._fd, -1  # first: another thread may open a file with this number
        descriptors.close_if_same(fd, self._identity)

    def delete(self) -> None:
        """Delete the file, if it is a checkpoint, and the fallback."""
        created = self._identity if self._created else None
        checkpoint_signature.delete_checkpoint(self.path, created)
        self._fallback.delete()
        self._pending.clear()
        self.close()

    def _entries(self) -> Iterator[CheckpointEntry]:
        """Read the valid entries of the file and of its fallback. Sets `unreadable` if they cannot be read."""
        try:
            # A kill between the copy into the file and the deletion of the fallback leaves a line in both.
            more = dict.fromkeys(self._fallback.lines())
            with interrupts.suppress(FileNotFoundError, NotADirectoryError), open_file(self.path) as fd:
                checkpoint_signature.require_usable(fd)
                for line in read_lines(fd):
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
        yield from filter(None, map(parse_entry, self._pending))

    def _valid(self, line: bytes) -> Iterator[CheckpointEntry]:
        entry = parse_entry(line)
        if entry is not None:
            yield entry
        elif is_damaged(line):
            self.invalid += 1

    def _is_lost(self) -> bool:
        """Return whether others have deleted, moved, replaced or changed the file, but not the segment beside it."""
        if self._identity == _NO_FILE or not own_files.is_at(self._segment, self._segment_identity):
            return False
        if not own_files.is_at(self.path, self._identity):
            return True
        fd = self._fd
        if not descriptors.is_same(fd, self._identity):
            return False
        return os.fstat(fd).st_size < self._size or not checkpoint_signature.is_usable(fd)

    def _start_over(self) -> None:
        """Make all recorded entries pending that are not in the file that is now at the path."""
        present: dict[str, Position] = {}
        with interrupts.suppress(OSError), open_file(self.path) as fd:
            lines = read_lines(fd) if checkpoint_signature.is_checkpoint(fd) else ()
            present, _ = sum_entries(filter(None, map(parse_entry, lines)))
        self._pending = [entry.line for entry in missing_entries(self._recorded, present)]
        self._fallback.delete()
        self._in_fallback = 0
        self._forget_file()

    def _shorten(self) -> None:
        """Start a new file with the sums. They are in the fallback until the new file has them."""
        sums = [entry.line for entry in missing_entries(self._recorded, {})]
        if not self._fallback.write(sums):
            return
        if own_files.delete_if_same(self.path, self._identity):
            self._forget_file()
            self._pending, self._in_fallback = sums, len(sums)
        else:
            self._fallback.delete()

    def _forget_file(self) -> None:
        descriptors.close_if_same(self._fd, self._identity)
        self._fd, self._identity, self._size = -1, _NO_FILE, 0

    def _write(self, is_open: bool) -> None:
        """Write the pending entries to the file, otherwise to the fallback."""
        if is_open:
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
