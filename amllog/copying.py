"""Makes the copies of this process beside its journal, within the journal's limit.

In: a file that the script hands to `log.run`, as bytes, path or stream. Out: the name of its copy. Errors of the source
are raised; what the journal prevents is NotKept, which the gate counts.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from amllog import copies
from amllog.copies import NotKept
from amllog.journal import PARTS, Journal
from amllog.room import Known, copied_bytes, delete_done, delete_unused_copies, own_bytes
from amllog.run import Source

CHUNK_BYTES = 1024 * 1024
FULL = "copy of a file: journal is full (journal_max_bytes)"


class Copying:
    """Copies files beside the journal: all copies take at most half of its limit, and leave room for records."""

    def __init__(
        self, journal: Callable[[], Journal | None], directory: Path, max_bytes: int, node: str
    ) -> None:
        """`directory`: where copies go while there is no journal, as in a forked child before its first record."""
        self._journal, self._directory = journal, directory
        self._max_bytes, self._node = max_bytes, node
        self._known: Known = {}
        # Bytes that copies may take before the directory is looked at again: an estimate, which needs no lock. A lock
        # that another thread holds during a fork would block the child.
        self._free = 0
        self._look_again = 0.0

    def directories(self) -> list[Path]:
        """Where the journal has files, and so copies: the present directory first."""
        journal = self._journal()
        found = [journal.directory, *(segment.path.parent for segment in journal.segments)] if journal else []
        return list(dict.fromkeys([*found, self._directory]))

    def copy(self, source: Source, file: str) -> str:
        """Copy a file; the name of the copy. Raises NotKept, and what reading the source raises."""
        with _opened(source) as stream:  # first: its errors are raised whatever the journal does
            name, directory = copies.name_for(file), self.directories()[0]
            self._require_room(directory, _size_of(source, stream))
            copies.keep(directory, name, self._within_limit(directory, _chunks_of(stream)))
        return name

    def expect_room(self) -> None:
        """Look again with the next copy: something was just delivered."""
        self._look_again = 0.0

    def _within_limit(self, directory: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._require_room(directory, len(chunk))
            self._free -= len(chunk)
            yield chunk

    def _require_room(self, directory: Path, wanted: int) -> None:
        """Raise NotKept if so many bytes are too many."""
        if wanted > self._free and not self._make_room(directory, wanted):
            raise NotKept(FULL)

    def _make_room(self, directory: Path, wanted: int) -> bool:
        """Look how much room there is; delete what nobody wants any more if that is not enough."""
        began = time.monotonic()
        if began < self._look_again:
            return False
        lacking = wanted - self._measured(directory, wanted)
        if lacking > 0:
            lacking -= delete_unused_copies(directory)
            journal = self._journal()
            if lacking > 0 and journal is not None:
                delete_done(directory, lacking, journal.segments, self._node, journal.outlets)
            lacking = wanted - self._measured(directory, wanted)
        if lacking > 0:  # with thousands of files a look takes its time, and it is the caller's
            self._look_again = time.monotonic() + 50 * (time.monotonic() - began)
        return lacking <= 0

    def _measured(self, directory: Path, wanted: int) -> int:
        """How much copies may take before the next look: others make copies as well, and records need room."""
        copied = copied_bytes(directory)
        used = own_bytes(directory, self._known)
        free = min(self._max_bytes // 2 - copied, self._max_bytes - self._max_bytes // PARTS - used)
        self._free = min(free, max(wanted, self._max_bytes // PARTS))
        return self._free


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    """A stream of the source. Raises OSError if its file cannot be opened."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return nullcontext(source)


def _chunks_of(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _size_of(source: Source, stream: BinaryIO) -> int:
    """The bytes of a source, if they are known before it is read; else 0."""
    if isinstance(source, bytes):
        return len(source)
    return os.fstat(stream.fileno()).st_size if isinstance(source, (str, os.PathLike)) else 0
