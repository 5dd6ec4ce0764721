"""Write old runs as Parquet files: smaller, faster, and readable by Spark, Fabric and Azure Data Explorer.

The files are `compacted/parent_run_id=…/*.parquet` in the journal directory, with the columns of
`duckdb_views.records`. The manifest lists the journal files that they replace. The journal files are not deleted, and
deleting them afterwards loses no record. If a journal has grown, all files of its batch are written again, and the new
files replace the old ones.

A kill at any moment leaves the answers correct, because the manifest alone decides which Parquet files are read:

1. A mark is written. Beside it, the new files are written under names that begin with `_`, and synchronized to the
   disk.
2. The manifest lists the new files as leftovers. Then they are renamed.
3. The manifest lists the new batch, and the files of the replaced batches as leftovers. This commits the batch.
4. The replaced files are deleted, and then the manifest lists no leftovers.

After a kill, the next compaction deletes the files with a mark and the leftovers. Only one compaction of a folder runs
at a time, because two would write the same records twice, and each would replace the manifest of the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights.stores.local import compaction_plan, discovery, ownership, temporary_directory
from amllog.insights.stores.local.batch_writer import commit_batch, run_folder
from amllog.insights.stores.local.compaction_cleanup import remove_unfinished
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index import Index
from amllog.insights.stores.local.index_entries import UNREADABLE, RecordGroup
from amllog.insights.stores.local.manifest import MANIFEST, Manifest, read_batches
from amllog.journal import own_files
from amllog.process.file_lock import try_lock

LOCK = "_lock"
MAX_NAME_BYTES = 255  # of a folder's name, if the system has no number for it


class CompactionResult(NamedTuple):
    """The number and size of the compacted journal files and of the Parquet files, and the numbers of other files.

    Journal files that were not compacted: `written` recently or locked by their writer, compacted `before`, `empty`,
    with a run id that is `too_long` for a folder's name, and of `others`, which are other users. `unread`: files that
    could not be read. `unknown`: Parquet files in folders of runs that are not in the manifest.
    """

    sources: int
    source_bytes: int
    outputs: int
    output_bytes: int
    written: int
    before: int
    empty: int
    too_long: int
    others: int
    unread: tuple[str, ...]
    unknown: int


def compact(
    directory: Path,
    *,
    idle: timedelta = timedelta(minutes=10),
    progress: Callable[[int, int], None] | None = None,
) -> CompactionResult:
    """Compact the journal files of a directory that were not written to for `idle` and have no open writer.

    `progress` is called after each batch with the bytes done and the bytes in total. Raises UsageError if the directory
    does not exist or cannot be written to, and while another process compacts it.
    """
    if not user_path.is_directory(user_path.expand_path(directory)):
        raise UsageError(f"no such directory: {directory}")
    engine = Engine()
    try:
        directory = user_path.expand_path(directory).resolve()
        folder = directory / discovery.COMPACTED_FOLDER
        with _exclusive(engine, folder), temporary_directory.subdirectory() as scratch:
            return _compact(engine, directory, idle, progress, scratch)
    except OSError as error:
        raise UsageError(f"{directory} cannot be compacted: {error}") from error


def _compact(
    engine: Engine,
    directory: Path,
    idle: timedelta,
    progress: Callable[[int, int], None] | None,
    scratch: Path,
) -> CompactionResult:
    folder = directory / discovery.COMPACTED_FOLDER
    batches = read_batches(folder)
    done = {
        (source.name, source.entry.size)
        for batch in batches
        if batch.is_complete(folder)
        for source in batch.sources
    }
    latest = datetime.now(timezone.utc) - idle
    unread: list[str] = []
    files = discovery.find_files([directory], convert=False, skipped=unread)
    # In a Parquet file of this user, records of other users could not be distinguished from those of this user.
    journals = {_relative(file.path, directory): file for file in files if file.rank != ownership.FOREIGN}
    pending = [file for name, file in journals.items() if (name, file.size) not in done]
    ready = [file for file in pending if _modified(file) <= latest and not discovery.has_writer(file.path)]
    index = Index(engine)
    index.remove_abandoned(file.path.parent for file in journals.values())
    known = index.entries(ready)
    unread += [str(path) for path, entry in known.items() if entry.modified == UNREADABLE]
    with_records = {_relative(path, directory): entry for path, entry in known.items() if entry.groups}
    max_length = _max_name_bytes(folder)
    entries = {
        name: entry
        for name, entry in with_records.items()
        if all(_fits(group, max_length) for group in entry.groups)
    }
    total, bytes_done = sum(entry.size for entry in entries.values()), 0
    outputs: set[str] = set()
    for plan in compaction_plan.plan_batches(batches, entries, directory, scratch):
        outputs -= {name for batch in plan.replaced for name in batch.outputs}
        outputs |= set(commit_batch(engine, plan, folder))
        bytes_done += plan.source_bytes
        if progress:
            progress(bytes_done, total)
    listed = {name for batch in read_batches(folder) for name in batch.outputs}
    return CompactionResult(
        sources=len(entries),
        source_bytes=total,
        outputs=len(outputs),
        output_bytes=sum((folder / name).stat().st_size for name in outputs),
        written=len(pending) - len(ready),
        before=len(journals) - len(pending),
        empty=sum(entry.modified != UNREADABLE and not entry.groups for entry in known.values()),
        too_long=len(with_records) - len(entries),
        others=len(files) - len(journals),
        unread=tuple(unread),
        unknown=sum(
            _relative(path, folder) not in listed for path in folder.glob("parent_run_id=*/*.parquet")
        ),
    )


@contextlib.contextmanager
def _exclusive(engine: Engine, folder: Path) -> Iterator[None]:
    """Lock the folder, and clean it up before and after the block. Raises UsageError if that is not possible."""
    ownership.make_user_directory(folder)
    fd = own_files.open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT)
    with open(fd, "rb") as file:
        if file.read(1):
            raise UsageError(f"{folder / LOCK} is not a lock file of amllog: it is not empty")
        if try_lock(fd) is False:
            raise UsageError(f"{folder}: another process is compacting it")
        if os.path.lexists(folder / MANIFEST) and Manifest.read(folder) is None:
            raise UsageError(
                f"{folder / MANIFEST} cannot be read (damaged, of another version of amllog, or of another program): "
                "if its journal files still exist, delete the folder. Otherwise move it to another place"
            )
        remove_unfinished(engine, folder)
        try:
            yield
        finally:
            remove_unfinished(engine, folder)


def _fits(group: RecordGroup, max_length: int) -> bool:
    return len(run_folder(group.parent_run_id)) <= max_length


def _max_name_bytes(folder: Path) -> int:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not available on Windows
        return os.pathconf(folder, "PC_NAME_MAX")
    return MAX_NAME_BYTES


def _relative(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix()


def _modified(file: discovery.FoundFile) -> datetime:
    return datetime.fromtimestamp(file.modified / 1e9, timezone.utc)
