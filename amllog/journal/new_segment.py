"""Opens a new segment in the first directory where that is possible."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog.journal.directory import create_segment
from amllog.journal.segment import Segment
from amllog.process.interrupts import is_from_signal, suppress

Place = Callable[[], Path]  # finds a directory; raises OSError
_TRIES = 3


class NoSegment(OSError):
    """No new file can be opened for records now."""


def create_in_first(places: Sequence[Place], node: str, notice: Callable[[str], object]) -> Segment:
    """A new segment in the first of `places` where that is possible. `notice` gets a sentence for each other one.

    Raises NoFile.
    """
    trouble = OSError()
    for number, find in enumerate(places):
        directory: Path | str = "a temporary directory"
        try:
            directory = find()
            return _new_segment(directory, node)
        except OSError as error:
            if is_from_signal(error):
                raise
            trouble = error
            if number and isinstance(directory, Path):  # ours, and of no use
                with suppress(OSError):
                    directory.rmdir()  # if it is empty
            notice(f"no journal in {directory}: {error.strerror or error}")
    raise NoSegment(trouble.errno, trouble.strerror, trouble.filename)


def _new_segment(directory: Path, node: str) -> Segment:
    """A new segment, also while another thread of the script closes descriptors that it did not open."""
    for _ in range(_TRIES - 1):
        try:
            return create_segment(directory, node)
        except OSError as error:
            if error.errno != errno.EBADF or is_from_signal(error):
                raise
    return create_segment(directory, node)
