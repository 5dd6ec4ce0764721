"""Detect that others have renamed, deleted or replaced segments of the journal, and recover them.

The paths are checked in each round of delivery, not before each record. Until the next check, records go to the file as
before.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from amllog.journal import own_files
from amllog.journal.recovery import is_readable, recover
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal
from amllog.process import descriptors, interrupts
from amllog.process.released_locks import releasing

_NOTICE = "another program has {} the journal file {}: a new one is started, and no record is lost"


class Displacement:
    """The checks of one journal."""

    def __init__(self, journal: Journal, lock: threading.RLock) -> None:
        """`lock`: held while a record is appended."""
        self.checks = 0  # the number of complete checks
        self.is_checking = False  # whether a thread checks now, so that another thread would wait for it
        self._journal, self._lock = journal, lock
        self._checking = threading.RLock()  # acquired before the other one, never after it

    def displaced_segments(self) -> list[Segment]:
        """Return the segments that are no longer at their paths."""
        own = [segment for segment in self._journal.segments if segment.is_locked and segment.fd >= 0]
        gone = [segment for segment in own if not own_files.is_at(segment.path, segment.identity)]
        return [segment for segment in gone if segment.is_locked]  # not deleted by this process meanwhile

    @releasing("_checking")
    def check(self, *, last: bool = False) -> None:
        """Recover the segments that are not at their paths. `last`: the segments are closed next."""
        with self._checking:
            self.is_checking = True
            try:
                for segment in self.displaced_segments():
                    if segment.size and not segment.is_out_of_reach():  # not also closed by the script
                        self._recover_if_possible(segment, last=last)
                self.checks += 1
            finally:
                self.is_checking = False

    def _recover_if_possible(self, segment: Segment, *, last: bool) -> None:
        try:
            self._recover(segment)
        except (OSError, ValueError, MemoryError) as error:  # no new segment can be created now
            interrupts.pass_on(error)
            segment.give_up(last=last)

    @releasing("_lock")
    def _recover(self, segment: Segment) -> None:
        journal, path = self._journal, find_path(segment.fd, segment.path.parent)
        # Usually the directory was moved. The journal continues with the segment.
        moved_along = (
            path is not None and is_readable(path) and segment.checkpoint.is_at(path.with_suffix(".ack"))
        )
        if not moved_along:
            change = "renamed" if path else "replaced" if os.path.lexists(segment.path) else "deleted"
            notice = _NOTICE.format(change, segment.path)
            with self._lock:
                segment.displace(notice)  # no thread appends to it now, and none will
            journal.notify_once(notice, segment)
        segments = recover(segment, path, journal.new_file, journal.outlets, journal.node)
        for recovered in segments if journal.outlets else ():
            if recovered.is_locked:
                recovered.checkpoint.reserve(journal.outlets[0])
        index = journal.segments.index(segment)
        journal.segments[index : index + 1] = segments


def find_path(fd: int, near: Path) -> Path | None:
    """Return the present path of an open file, from Linux or from the directory `near`. None if it is not found."""
    identity, paths = descriptors.read_identity(fd), list[str]()
    with interrupts.suppress(OSError):
        paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    with interrupts.suppress(OSError), os.scandir(near) as entries:
        paths += [os.path.abspath(entry.path) for entry in entries if entry.inode() == identity[1]]
    for path in map(Path, paths):
        with interrupts.suppress(OSError):
            status = os.stat(path, follow_symlinks=False)
            if (status.st_dev, status.st_ino) == identity:
                return path
    return None
