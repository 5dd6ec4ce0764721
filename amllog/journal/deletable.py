"""Find the files of ended processes that the user can delete. Nothing is deleted here.

Each file must be recognized as ours at that moment, as in `disk_usage`. A segment is claimed while it is read, so a
running process does not write to it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from amllog.journal import own_files
from amllog.journal.checkpoint_signature import is_checkpoint
from amllog.journal.directory import claim, list_segments
from amllog.journal.disk_usage import UNUSED_SECONDS, unused_copies
from amllog.journal.outlets import APP_INSIGHTS, OUTLETS, RUN_METRICS
from amllog.journal.segment import Segment
from amllog.journal.signature import SEGMENT_NAME, is_line
from amllog.process.interrupts import suppress
from amllog.record.envelope import instrumentation_key, is_run_metric

DELIVERED = "all records are delivered"
ONLY_HERE = "written without a connection string, so they are the only copy of their records"
UNUSED = "no record needs the file"


class Deletable(NamedTuple):
    """A file that the user can delete, the disk space that it uses in bytes, and the reason."""

    path: Path
    size: int
    reason: str


def find_deletable(directory: Path, node: str) -> Iterator[Deletable]:
    """Yield the files of a journal directory that can be deleted. `node`: the name of this machine in names of files.

    A file with waiting records, of a running process, or of another program is not listed.
    """
    for path in list_segments(directory):
        segment = claim(path, node)
        if segment is not None:
            try:
                reason = _reason(segment)
            finally:
                segment.close()
            if reason:
                yield from _sized([path, path.with_suffix(".ack")], reason)
    yield from _sized(_checkpoints_without_segment(directory), UNUSED)
    for path, size in unused_copies(directory).items():
        yield Deletable(path, size, UNUSED)


def fallback_directories() -> Iterator[Path]:
    """Yield this user's temporary directories with journals, which are used if no other directory can be written."""
    user = getattr(os, "geteuid", lambda: 0)()
    base = Path(tempfile.gettempdir())
    for path in (*base.glob(f"amllog-{user}/*"), *base.glob(f"amllog-{user}-*")):
        with suppress(OSError):
            if own_files.is_private(path) and list_segments(path):
                yield path


def _reason(segment: Segment) -> str:
    """Return the reason why a segment can be deleted. "" if it cannot."""
    if not segment.size or not own_files.is_deletable(segment.path, segment.fd):
        return ""
    if any(segment.position(outlet).retry for outlet in OUTLETS) or not all(
        map(is_line, segment.lines_from(0))
    ):
        return ""
    keys = {instrumentation_key(line) for line in _rest(segment, APP_INSIGHTS)}
    if keys - {None, b""} or any(map(is_run_metric, _rest(segment, RUN_METRICS))):
        return ""
    return ONLY_HERE if b"" in keys else DELIVERED


def _rest(segment: Segment, outlet: str) -> Iterator[bytes]:
    """Yield the lines that an outlet has not settled."""
    return iter(segment.lines_from(segment.position(outlet).offset))


def _checkpoints_without_segment(directory: Path) -> Iterator[Path]:
    """Yield old checkpoints whose segment was deleted. The process of a younger one may write them again."""
    latest = time.time() - UNUSED_SECONDS
    with suppress(OSError):
        for path in sorted(directory.glob("*.ack")):
            segment = path.with_suffix(".jsonl")
            if SEGMENT_NAME.match(segment.name) and not os.path.lexists(segment) and _is_old(path, latest):
                yield path


def _is_old(path: Path, latest: float) -> bool:
    with suppress(OSError):
        fd = own_files.open_regular(path)
        try:
            return os.fstat(fd).st_mtime < latest and not own_files.is_linked(fd) and is_checkpoint(fd)
        finally:
            os.close(fd)
    return False


def _sized(paths: Iterable[Path], reason: str) -> Iterator[Deletable]:
    for path in paths:
        with suppress(OSError):  # a segment without a checkpoint
            yield Deletable(path, own_files.stored_bytes(os.stat(path, follow_symlinks=False)), reason)
