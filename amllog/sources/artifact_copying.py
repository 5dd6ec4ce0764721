"""Copy the files that a script passes to `log.run` beside the journal, within its size limit.

Errors of the source are raised. CopyNotWritten is raised if the journal prevents the copy. The run backend counts it.
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


class ArtifactCopier:
    """Copy files beside the journal, as long as waiting copies take less than half of its limit.

    Copies do not count as bytes of the journal, because a large model must not prevent records. The size of one file is
    not limited.
    """

    def __init__(self, journal: Callable[[], Journal | None], directory: Path, max_bytes: int) -> None:
        """`directory` is used while there is no journal, as in a forked child before its first record."""
        self._journal, self._directory = journal, directory
        self._max_bytes = max_bytes
        # Bytes that copies may take before the directory is measured again. It is an estimate, which needs no lock. A
        # lock that another thread holds during a fork would block the child.
        self._free = 0
        self._measure_again_at = 0.0

    def directories(self) -> list[Path]:
        """Return the directories in which the journal has files, and therefore copies. The present one is the first."""
        journal = self._journal()
        used = [journal.directory, *(segment.path.parent for segment in journal.segments)] if journal else []
        return list(dict.fromkeys([*used, self._directory]))

    def copy(self, source: Source, file: str) -> str:
        """Copy a file and return the name of the copy. Raises CopyNotWritten and the errors of the source."""
        with _opened(source) as stream:  # first: its errors are raised in any case
            name, directory = artifact_copies.new_name(file), self.directories()[0]
            if self._free <= 0 and not self._make_room(directory):
                raise CopyNotWritten(FULL)
            artifact_copies.write_copy(directory, name, self._counted(stream))
        return name

    def recheck_space(self) -> None:
        """Measure again with the next copy, because records were delivered."""
        self._measure_again_at = 0.0

    def _counted(self, stream: BinaryIO) -> Iterator[bytes]:
        while chunk := stream.read(CHUNK_BYTES):
            self._free -= len(chunk)
            yield chunk

    def _make_room(self, directory: Path) -> bool:
        """Return whether another copy may be made. If there are too many, delete those that no line refers to."""
        began = time.monotonic()
        if began < self._measure_again_at:
            return False
        if self._measured(directory) <= 0:
            delete_unused_copies(directory)
            # Measuring thousands of files takes time of the caller. So it is not done for each of them.
            if self._measured(directory) <= 0:
                self._measure_again_at = time.monotonic() + 50 * (time.monotonic() - began)
        return self._free > 0

    def _measured(self, directory: Path) -> int:
        """Return how many bytes copies may take until the next measurement. Other processes make copies as well."""
        free = self._max_bytes // 2 - copied_bytes(directory)
        self._free = min(free, self._max_bytes // PARTS)
        return self._free


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    """Return a stream of the source. Raises OSError if its file cannot be opened."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return nullcontext(source)
