"""Notices that others have renamed, deleted or replaced files of the journal, and has them recovered.

In: the journal. Out: the same journal without such files. It looks at the paths, not before each record: until it has
looked, records go to the file as before.
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
    """The looks at one journal."""

    def __init__(self, journal: Journal, lock: threading.RLock) -> None:
        """`lock`: held by who appends a record."""
        self.checks = 0  # that are complete
        self.is_checking = False  # whether a thread looks now, so that another one would wait for it
        self._journal, self._lock = journal, lock
        self._checking = threading.RLock()  # acquired before the other one, never after it

    def displaced_segments(self) -> list[Segment]:
        """The files that are no longer at their paths."""
        own = [segment for segment in self._journal.segments if segment.is_locked and segment.fd >= 0]
        gone = [one for one in own if not own_files.is_at(one.path, (one.device, one.inode))]
        return [one for one in gone if one.is_locked]  # not deleted by this process meanwhile

    @releasing("_checking")
    def check(self, *, last: bool = False) -> None:
        """Have the files that are not at their paths recovered. `last`: the files are closed next."""
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
        except (OSError, ValueError, MemoryError) as error:  # there can be no new file now
            interrupts.pass_on(error)
            segment.lost = last

    @releasing("_lock")
    def _recover(self, segment: Segment) -> None:
        journal, path = self._journal, path_of(segment.fd, segment.path.parent)
        # With its directory, as a rule: the journal goes on with it.
        moved_along = (
            path is not None and is_readable(path) and segment.checkpoint.is_at(path.with_suffix(".ack"))
        )
        if not moved_along:
            change = "renamed" if path else "replaced" if os.path.lexists(segment.path) else "deleted"
            notice = _NOTICE.format(change, segment.path)
            with self._lock:
                segment.displace(notice)  # nobody appends to it now, and nobody will
            journal.notify_once(notice, segment)
        segments = recover(segment, path, journal.new_file, journal.outlets, journal.node)
        for one in segments if journal.outlets else ():
            if one.is_locked:
                one.checkpoint.reserve(journal.outlets[0])
        place = journal.segments.index(segment)
        journal.segments[place : place + 1] = segments


def path_of(fd: int, near: Path) -> Path | None:
    """Return the present path of an open file: from Linux, or from the directory `near`. None if it has none there."""
    identity, paths = descriptors.read_identity(fd), list[str]()
    with interrupts.suppress(OSError):
        paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    with interrupts.suppress(OSError), os.scandir(near) as entries:
        paths += [os.path.abspath(entry.path) for entry in entries if entry.inode() == identity[1]]
    for path in map(Path, paths):
        with interrupts.suppress(OSError):
            found = os.stat(path, follow_symlinks=False)
            if (found.st_dev, found.st_ino) == identity:
                return path
    return None
