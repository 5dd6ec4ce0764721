"""Measure the disk space of our files in a journal directory, and delete settled ones.

Other programs may use the directory as well. A file is deleted only if no outlet wants a line of it any more. It must
also be recognized as ours at that moment, by its name, its first line and the beginning of each other line.
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

UNUSED_SECONDS = 24 * 3600.0  # the line of a younger copy may not be written yet
Known = dict[str, tuple[descriptors.Identity, bool]]  # by name: the file, and whether it is ours


def own_bytes(directory: Path, known: Known) -> int:
    """Return the bytes of our files in `directory`, without copies. `known` keeps the files that were recognized."""
    total = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            stem, _, suffix = entry.name.rpartition(".")
            if suffix in ("jsonl", "ack") and SEGMENT_NAME.match(f"{stem}.jsonl"):
                with suppress(OSError):  # deleted meanwhile
                    total += _own_size(entry, known)
    return total


def copied_bytes(directory: Path) -> int:
    """Return the bytes of the copies of files that wait for run history."""
    with suppress(OSError), artifact_copies.open_folder(directory) as folder:
        return sum(own_files.stored_bytes(status) for _, status in folder.entries())
    return 0  # there are no copies, or the directory is not ours


def unused_copies(directory: Path) -> dict[Path, int]:
    """Return the copies that `delete_unused_copies` deletes, with the disk space that they use in bytes."""
    with suppress(OSError), artifact_copies.open_folder(directory) as folder:
        unused = _unused_copies(directory, folder)
        return {folder.path / entry: own_files.stored_bytes(status) for entry, status in unused.items()}
    return {}


def delete_unused_copies(directory: Path) -> int:
    """Delete copies that no line of a segment names, for example of killed processes. Return the bytes freed."""
    freed = 0
    with suppress(OSError), artifact_copies.open_folder(directory) as folder:
        for entry, status in _unused_copies(directory, folder).items():
            if folder.delete(entry, (status.st_dev, status.st_ino)):
                freed += own_files.stored_bytes(status)
    return freed


def _unused_copies(directory: Path, folder: artifact_copies.Folder) -> dict[str, os.stat_result]:
    """Return the copies that no line names. Raises OSError if a segment cannot be read at the moment.

    A file of the user may have such a name. So only old files count that only this user may read.
    """
    latest, user = time.time() - UNUSED_SECONDS, getattr(os, "geteuid", lambda: 0)()
    unused = {
        entry: status
        for entry, status in folder.entries()
        if status.st_mtime < latest
        if stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == user and status.st_nlink == 1
    }
    for name in _named(directory) if unused else ():
        unused.pop(name, None)
    return unused


def delete_settled(
    directory: Path, excess: int, own_segments: Iterable[Segment], node: str, outlets: Sequence[str]
) -> int:
    """Delete the oldest settled segments, until `excess` bytes are free. Return the bytes freed.

    `own_segments`: those of this process, which are not claimed. The last one is written to, so it is not deleted.
    """
    segments = list(own_segments)
    by_path = {segment.path: segment for segment in segments}
    freed = 0
    for path in list_segments(directory):
        if freed >= excess:
            break
        own_segment = by_path.get(path)
        if own_segment is segments[-1]:
            continue
        # The size first: it opens a file again that the script has closed. Another process may have its lock then.
        is_usable = own_segment is not None and own_segment.size and own_segment.is_locked
        segment = own_segment if is_usable else claim(path, node)
        if segment is None:
            continue
        if segment.size and own_files.is_deletable(path, segment.fd) and is_fully_settled(segment, outlets):
            if own_segment is not None:
                own_segment.refresh()  # before the checkpoint is deleted
            freed += _remove(segment)
            if own_segment is not None:
                own_segment.close()
        elif segment is not own_segment:
            segment.close()
    return freed


def is_fully_settled(segment: Segment, outlets: Sequence[str]) -> bool:
    """Return whether no line is wanted any more, by these outlets or by those that another process may have.

    A line without a key is wanted for as long as the service would accept it. If a line is not a record, another
    program has written to the file, and it is not settled.
    """
    if outlets and not segment.is_settled(outlets):
        return False
    if any(segment.position(name).retry for name in OUTLETS):
        return False
    sent = {name: segment.position(name).offset for name in OUTLETS if name not in outlets}
    keys = {instrumentation_key(line) for line in segment.lines_from(sent.get(APP_INSIGHTS, segment.size))}
    metrics = segment.lines_from(sent.get(RUN_METRICS, segment.size))
    if keys - {None, b""} or any(map(is_run_metric, metrics)) or not all(map(is_line, segment.lines_from(0))):
        return False
    return b"" not in keys or time.time() - segment.modified > MAX_AGE_SECONDS


def _named(directory: Path) -> Iterator[str]:
    """Yield the copies that lines of the segments name. Raises OSError if a file cannot be read at the moment."""
    for path in list_segments(directory):
        try:
            fd = open_segment(path)
        except OSError as error:
            pass_on(error)
            if is_temporary(error):
                raise
            continue  # it is gone, or not a segment
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
    """Delete a segment. Return the disk space that it used."""
    with suppress(OSError):
        size = own_files.stored_bytes(os.stat(segment.path, follow_symlinks=False))
        return size if segment.remove() else 0
    return 0


def _own_size(entry: os.DirEntry[str], known: Known) -> int:
    """Return the disk space of a file if it is ours, else 0. Opens the file if it is not known yet."""
    status = entry.stat(follow_symlinks=False)
    may_be_segment = entry.name.endswith(".jsonl")
    max_bytes = MAX_SEGMENT_BYTES if may_be_segment else MAX_BYTES
    if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
        return 0
    if not status.st_size:  # it uses no space, and its content is unknown
        return 0
    identity = status.st_dev, status.st_ino
    known_identity, is_ours = known.get(entry.name, (None, False))
    if known_identity != identity:
        fd = own_files.open_regular(entry.path)
        try:
            head = own_files.read_head(fd)
            is_ours = is_segment(entry.name, head) if may_be_segment else is_checkpoint(fd)
        finally:
            descriptors.close_if_same(fd, identity)
        if head:  # otherwise others have emptied it meanwhile
            known[entry.name] = identity, is_ours
    return own_files.stored_bytes(status) if is_ours else 0
