"""Wait until the workers of this step have delivered what they had recorded when the step began to end.

A framework kills its workers when its driver ends. A worker delivers its records half a second after it has made them,
so those of the last half second would wait on disk for the next process. A segment whose writer has ended is an orphan,
which the step delivers itself.
"""

from __future__ import annotations

import time
from pathlib import Path

from amllog.delivery.outbox import Outbox
from amllog.journal.directory import claim, list_segments, open_read_only
from amllog.journal.writer import Journal

MAX_SECONDS = 5.0
POLL_SECONDS = 0.05


def wait_for_workers(outbox: Outbox, step_id: str, since: float, deadline: float) -> None:
    """Deliver the own records, and wait until the other processes of the step have delivered what they had by then.

    `since`: older segments are of other steps. `deadline`: by `time.monotonic`. If this process cannot deliver, the
    others cannot either.
    """
    journal = outbox.current_journal()
    if journal is None:
        return
    first = time.strftime("%Y%m%dT%H%M%S", time.gmtime(since))
    mark = f'"step_id":"{step_id}"'.encode()
    paths = [
        path for path in list_segments(journal.directory) if path.name >= first and not journal.is_own(path)
    ]
    owed = {path: size for path in paths if (size := _size_of(path, mark))}
    if not owed:
        return
    outbox.drain(deadline - time.monotonic())
    deadline = min(deadline, time.monotonic() + MAX_SECONDS)
    if any(outlet.trouble for outlet in outbox.status().outlets.values()):
        return
    while owed := {path: size for path, size in owed.items() if _is_owed(path, size, journal)}:
        if time.monotonic() >= deadline:
            return
        time.sleep(POLL_SECONDS)


def _size_of(path: Path, mark: bytes) -> int:
    """Return how many bytes a worker has to deliver, 0 if it is of another step or delivers nothing itself."""
    segment = open_read_only(path)
    if segment is None:
        return 0
    try:
        return segment.size if segment.outlets and mark in segment.line_at(0) else 0
    finally:
        segment.close()


def _is_owed(path: Path, size: int, journal: Journal) -> bool:
    """Return whether the first `size` bytes are not delivered, and the writer of the segment lives."""
    segment = open_read_only(path)
    if segment is None:  # delivered, and deleted
        return False
    try:
        if not any(segment.position(one).offset < size for one in segment.outlets if one in journal.outlets):
            return False
    finally:
        segment.close()
    orphan = claim(path, journal.node)
    if orphan is not None:
        orphan.close()
    return orphan is None
