"""Makes the copies of this process beside its journal, as many as its limit admits.

In: a file that the script hands to `log.run`, as bytes, path or stream. Out: the name of its copy. Errors of the source
are raised. CopyNotWritten is raised if the journal prevents the copy, and the gate counts it.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from amllog.journal import artifact_copies
from amllog.journal.artifact_copies import CopyNotWritten
from amllog.journal.disk_usage import copied_bytes, delete_unused_copies
from amllog.journal.writer import PARTS, Journal
from amllog.sources.run.backend import Source

CHUNK_BYTES = 1024 * 1024
FULL = "copies of files that wait take half of journal_max_bytes"


class Copying:
    """Copies files beside the journal, as long as those that wait take less than half of its limit.

    They do not count among the bytes of the journal: a large model must not keep records out. For the same reason, the
    size of one file is not limited.
    """

    def __init__(self, journal: Callable[[], Journal | None], directory: Path, max_bytes: int) -> None:
        """`directory`: where copies go while there is no journal, as in a forked child before its first record."""
        self._journal, self._directory = journal, directory
        self._max_bytes = max_bytes
        # Bytes that copies may take before the directory is looked at again: an estimate, which needs no lock. A lock
        # that another thread holds during a fork would block the child.
        self._free = 0
        self._look_again = 0.0

    def directories(self) -> list[Path]:
        """Return the directories in which the journal has files, and so copies. The present one is the first."""
        journal = self._journal()
        found = [journal.directory, *(segment.path.parent for segment in journal.segments)] if journal else []
        return list(dict.fromkeys([*found, self._directory]))

    def copy(self, source: Source, file: str) -> str:
        """Copy a file and return the name of the copy. Raises CopyNotWritten and the errors of the source."""
        with _opened(source) as stream:  # first: its errors are raised whatever the journal does
            name, directory = artifact_copies.new_name(file), self.directories()[0]
            if self._free <= 0 and not self._make_room(directory):
                raise CopyNotWritten(FULL)
            artifact_copies.write_copy(directory, name, self._counted(stream))
        return name

    def recheck_space(self) -> None:
        """Look again with the next copy: something was just delivered."""
        self._look_again = 0.0

    def _counted(self, stream: BinaryIO) -> Iterator[bytes]:
        while chunk := stream.read(CHUNK_BYTES):
            self._free -= len(chunk)
            yield chunk

    def _make_room(self, directory: Path) -> bool:
        """Return whether another copy may be made. If there are too many, delete those that no line names."""
        began = time.monotonic()
        if began < self._look_again:
            return False
        if self._measured(directory) <= 0:
            delete_unused_copies(directory)
            if self._measured(directory) <= 0:  # with thousands of files a look takes its time: the caller's
                self._look_again = time.monotonic() + 50 * (time.monotonic() - began)
        return self._free > 0

    def _measured(self, directory: Path) -> int:
        """Return how many bytes copies may take before the next look. Other processes make copies as well."""
        free = self._max_bytes // 2 - copied_bytes(directory)
        self._free = min(free, self._max_bytes // PARTS)
        return self._free


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    """A stream of the source. Raises OSError if its file cannot be opened."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return nullcontext(source)
