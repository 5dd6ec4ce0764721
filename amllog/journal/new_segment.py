"""Create a new segment in the first directory where this is possible."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from amllog.journal.directory import create_segment
from amllog.journal.segment import Segment
from amllog.process.interrupts import is_from_signal, suppress

Place = Callable[[], Path]  # returns a directory, or raises OSError
_TRIES = 3


class NoSegment(OSError):
    """No new segment can be created now."""


def create_in_first(places: Sequence[Place], node: str, notice: Callable[[str], object]) -> Segment:
    """Create a segment in the first of `places` where this is possible. `notice` gets a sentence for each failure.

    Raises NoSegment.
    """
    last_error = OSError()
    for number, find in enumerate(places):
        directory: Path | str = "a temporary directory"
        try:
            directory = find()
            return _create(directory, node)
        except OSError as error:
            if is_from_signal(error):
                raise
            last_error = error
            if number and isinstance(directory, Path):  # amllog has created it, and it is useless
                with suppress(OSError):
                    directory.rmdir()  # if it is empty
            notice(f"no journal in {directory}: {error.strerror or error}")
    raise NoSegment(last_error.errno, last_error.strerror, last_error.filename)


def _create(directory: Path, node: str) -> Segment:
    """Create a segment, also while another thread of the script closes descriptors that it did not open."""
    for _ in range(_TRIES - 1):
        try:
            return create_segment(directory, node)
        except OSError as error:
            if error.errno != errno.EBADF or is_from_signal(error):
                raise
    return create_segment(directory, node)
