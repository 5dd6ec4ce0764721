"""Measures the room that our files take in a journal directory, and deletes those that may be deleted.

In: a directory that other programs may use as well. Out: bytes of our files, and fewer files. A file is deleted only if
nothing in it is wanted any more, and if it is recognised as ours at that moment: by its name, by its first line and by
the beginning of each other line.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from amllog.journal import artifact_copies, own_files
from amllog.journal.checkpoint_entries import MAX_BYTES
from amllog.journal.checkpoint_signature import is_checkpoint
from amllog.journal.directory import MAX_SEGMENT_BYTES, claim, is_temporary, list_segments, open_segment
from amllog.journal.outlets import APP_INSIGHTS, OUTLETS, RUN_METRICS
from amllog.journal.segment import Segment
from amllog.journal.signature import SEGMENT_NAME, is_line, is_segment
from amllog.process import descriptors
from amllog.process.interrupts import pass_on, suppress
from amllog.record.envelope import MAX_AGE_SECONDS, instrumentation_key, is_run_metric

UNUSED_SECONDS = 24 * 3600.0  # a younger copy may be one whose line is still to come
Known = dict[str, tuple[descriptors.Identity, bool]]  # by name: the file, and whether it is ours


def own_bytes(directory: Path, known: Known) -> int:
    """Return the bytes of our files in `directory`, without copies. `known` keeps the files that were recognised."""
    total = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            stem, _, suffix = entry.name.rpartition(".")
            if suffix in ("jsonl", "ack") and SEGMENT_NAME.match(f"{stem}.jsonl"):
                with suppress(OSError):  # removed meanwhile: takes no room
                    total += _own_size(entry, known)
    return total


def copied_bytes(directory: Path) -> int:
    """Bytes of the copies of files that wait for run history."""
    with suppress(OSError), artifact_copies.open_folder(directory) as folder:
        return sum(own_files.stored_bytes(found) for _, found in folder.entries())
    return 0  # there are none, or the directory is not ours


def delete_unused_copies(directory: Path) -> int:
    """Delete the copies that no line of a journal names: of killed processes, for instance. Return the bytes freed.

    Only old ones, that this user alone may read, as all that amllog makes: a file of the user may have such a name.
    """
    freed, latest, user = 0, time.time() - UNUSED_SECONDS, getattr(os, "geteuid", lambda: 0)()
    with suppress(OSError), artifact_copies.open_folder(directory) as folder:
        unused = {
            entry: found
            for entry, found in folder.entries()
            if found.st_mtime < latest
            if stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == user and found.st_nlink == 1
        }
        for name in _named(directory) if unused else ():
            unused.pop(name, None)
        for entry, found in unused.items():
            if folder.delete(entry, (found.st_dev, found.st_ino)):
                freed += own_files.stored_bytes(found)
    return freed


def delete_settled(
    directory: Path, excess: int, own: Iterable[Segment], node: str, outlets: Sequence[str]
) -> int:
    """Delete the oldest files that nobody wants any more, until `excess` bytes are free. Return the bytes freed.

    `own` are the files of this process, which are not claimed. The last of them is written to, and stays.
    """
    segments = list(own)
    by_path = {segment.path: segment for segment in segments}
    freed = 0
    for path in list_segments(directory):
        if freed >= excess:
            break
        mine = by_path.get(path)
        if mine is segments[-1]:
            continue
        # The size first: it opens a file again that the script has closed. Another process may have its lock by then.
        segment = mine if mine is not None and mine.size and mine.is_locked else claim(path, node)
        if segment is None:
            continue
        if segment.size and own_files.is_deletable(path, segment.fd) and is_fully_settled(segment, outlets):
            if mine is not None:
                mine.refresh()  # before the checkpoint is deleted
            freed += _remove(segment)
            if mine is not None:
                mine.close()
        elif segment is not mine:
            segment.close()
    return freed


def is_fully_settled(segment: Segment, outlets: Sequence[str]) -> bool:
    """Whether nothing in the file is wanted any more: by these outlets, or by those that another process may have.

    What is addressed to no resource yet is wanted for as long as the service would take it. A line that is no record
    is somebody else's.
    """
    if outlets and not segment.is_settled(outlets):
        return False
    sent = {name: segment.position(name).offset for name in OUTLETS if name not in outlets}
    keys = {instrumentation_key(line) for line in segment.lines_from(sent.get(APP_INSIGHTS, segment.size))}
    metrics = segment.lines_from(sent.get(RUN_METRICS, segment.size))
    if keys - {None, b""} or any(map(is_run_metric, metrics)) or not all(map(is_line, segment.lines_from(0))):
        return False
    return b"" not in keys or time.time() - segment.modified > MAX_AGE_SECONDS


def _named(directory: Path) -> Iterator[str]:
    """The copies that lines of the journal files name. Raises OSError if a file cannot be read at the moment."""
    for path in list_segments(directory):
        try:
            fd = open_segment(path)
        except OSError as error:
            pass_on(error)
            if is_temporary(error):
                raise
            continue  # it is gone, or not ours
        try:
            segment = Segment(path, fd)
        except BaseException:
            os.close(fd)
            raise
        try:
            for line in segment.lines_from(0):
                yield from artifact_copies.copies_in(line)
        finally:
            segment.close()


def _remove(segment: Segment) -> int:
    """Delete a file. Return how much of the disk it took."""
    with suppress(OSError):
        size = own_files.stored_bytes(os.stat(segment.path, follow_symlinks=False))
        return size if segment.remove() else 0
    return 0


def _own_size(entry: os.DirEntry[str], known: Known) -> int:
    """The bytes on the disk of a file in the directory if it is ours, else 0. Opens it if it is not known yet."""
    found = entry.stat(follow_symlinks=False)
    may_be_segment = entry.name.endswith(".jsonl")
    if not stat.S_ISREG(found.st_mode) or found.st_size > (
        MAX_SEGMENT_BYTES if may_be_segment else MAX_BYTES
    ):
        return 0
    if not found.st_size:  # it takes no room, and may become anything
        return 0
    identity = found.st_dev, found.st_ino
    before, ours = known.get(entry.name, (None, False))
    if before != identity:
        fd = own_files.open_regular(entry.path)
        try:
            head = own_files.read_head(fd)
            ours = is_segment(entry.name, head) if may_be_segment else is_checkpoint(fd)
        finally:
            descriptors.close_if_same(fd, identity)
        if head:  # others have emptied it meanwhile
            known[entry.name] = identity, ours
    return own_files.stored_bytes(found) if ours else 0
