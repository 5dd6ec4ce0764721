"""Old runs → Parquet, partitioned by run: smaller, faster, and readable by Spark, Fabric and Azure Data Explorer.

In: a journal directory. Out: files `compacted/parent_run_id=…/*.parquet`, each with the columns of `records`, and a
manifest that says which journal files they stand for. The journal files stay; whoever removes them loses no record.
A file that has grown is compacted with all that was compacted together with it, and the new files replace the old.

The manifest names a file before it gets its name that others read, and until it is removed: a kill at any moment
leaves the answers right, and the next compaction knows what to remove.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from amllog.config import user_path
from amllog.errors import UsageError
from amllog.insights.query.sql import literal
from amllog.insights.stores.local import (
    compaction_plan,
    discovery,
    duckdb_views,
    open_files,
    ownership,
    temporary_directory,
)
from amllog.insights.stores.local.compaction_cleanup import (
    UNFINISHED_PREFIX,
    mark_begun,
    remove_unfinished,
    write_manifest,
)
from amllog.insights.stores.local.compaction_plan import BatchPlan
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index import Index, may_have_duplicates
from amllog.insights.stores.local.index_entries import UNREADABLE, RecordGroup
from amllog.insights.stores.local.manifest import MANIFEST, Batch, Manifest, Source, is_whole_parquet
from amllog.journal import own_files

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

LOCK = "_lock"
NAME_BYTES = 255  # of a folder's name, where the system does not say


class CompactionResult(NamedTuple):
    """What was done: so many journal files of so many bytes, in so many Parquet files. And how many were left alone:
    `written` to not long ago or held by their writer, compacted `before`, `empty` of records, with a run whose id is
    `too_long` for a folder's name, or of `others`: other users. `unread`: what could not be read. `unknown`: Parquet
    files in the folders of runs that are no compaction's."""

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
    """Compact what nobody has written to for `idle` and is not compacted yet. UsageError without a directory, where
    it cannot be written to, and while somebody else compacts it.

    `progress` is told, after each batch, how many bytes of how many are done.
    """
    if not user_path.is_directory(user_path.expand_path(directory)):
        raise UsageError(f"no such directory: {directory}")
    engine = Engine()
    try:
        directory = user_path.expand_path(directory).resolve()
        folder = directory / discovery.COMPACTED_FOLDER
        with _alone(engine, folder), temporary_directory.subdirectory() as place:
            return _compacted(engine, directory, idle, progress, place)
    except OSError as error:
        raise UsageError(f"{directory} cannot be compacted: {error}") from error


def _compacted(
    engine: Engine,
    directory: Path,
    idle: timedelta,
    progress: Callable[[int, int], None] | None,
    place: Path,
) -> CompactionResult:
    folder = directory / discovery.COMPACTED_FOLDER
    batches = Batch.read(folder)
    done = {
        (one.name, one.entry.size) for batch in batches if batch.is_complete(folder) for one in batch.sources
    }
    latest = datetime.now(timezone.utc) - idle
    left: list[str] = []
    seen = discovery.find_files([directory], convert=False, skipped=left)
    # In a Parquet file of this user, a record of another user could not be told from one of this user's.
    there = {_below(one.path, directory): one for one in seen if one.rank != ownership.FOREIGN}
    found = {name: one for name, one in there.items() if (name, one.size) not in done}
    ready = [one for one in found.values() if _changed(one) <= latest and not discovery.has_writer(one.path)]
    index = Index(engine)
    index.remove_abandoned(one.path.parent for one in there.values())
    known_of = index.entries(ready)
    left += [str(path) for path, one in known_of.items() if one.modified == UNREADABLE]
    full = {_below(path, directory): one for path, one in known_of.items() if one.groups}
    longest = _longest(folder)
    entries = {name: one for name, one in full.items() if all(_named(part, longest) for part in one.groups)}
    total, sizes = sum(entry.size for entry in entries.values()), [0]
    outputs: set[str] = set()
    for work in compaction_plan.plan_batches(batches, entries, directory, place):
        outputs -= {name for batch in work.replaced for name in batch.outputs}
        outputs |= set(_settle(engine, work, folder))
        sizes.append(sizes[-1] + work.size)
        if progress:
            progress(sizes[-1], total)
    known = {name for batch in Batch.read(folder) for name in batch.outputs}
    return CompactionResult(
        sources=len(entries),
        source_bytes=total,
        outputs=len(outputs),
        output_bytes=sum((folder / name).stat().st_size for name in outputs),
        written=len(found) - len(ready),
        before=len(there) - len(found),
        empty=sum(one.modified != UNREADABLE and not one.groups for one in known_of.values()),
        too_long=len(full) - len(entries),
        others=len(seen) - len(there),
        unread=tuple(left),
        unknown=sum(_below(path, folder) not in known for path in folder.glob("parent_run_id=*/*.parquet")),
    )


@contextlib.contextmanager
def _alone(engine: Engine, folder: Path) -> Iterator[None]:
    """Two at once would write the same records twice, and each its manifest over the other's."""
    ownership.make_user_directory(folder)
    fd = own_files.open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT)
    with open(fd, "rb") as file:
        if file.read(1):
            raise UsageError(f"{folder / LOCK} is not a lock file of amllog: it is not empty")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: somebody else is compacting it now") from None
        except OSError:
            pass  # a file system without locks
        if os.path.lexists(folder / MANIFEST) and Manifest.read(folder) is None:
            raise UsageError(
                f"{folder / MANIFEST} cannot be read (damaged, of another version of amllog, or of another program): "
                "where its journal files are still there, remove the folder; else move it away"
            )
        remove_unfinished(engine, folder)
        try:
            yield
        finally:
            remove_unfinished(engine, folder)


def _settle(engine: Engine, work: BatchPlan, folder: Path) -> dict[str, str]:
    """Write a batch, let it take the place of those that it replaces, and remove these; gives its files."""
    outputs = _write(engine, work, folder)
    batches = Batch.read(folder)
    write_manifest(folder, batches, list(outputs))
    for name in outputs:
        path = folder / name
        path.with_name(UNFINISHED_PREFIX + path.name).rename(path)
    batch = Batch(tuple(Source(*one) for one in work.sources.items()), outputs)
    replaced = [name for one in work.replaced for name in one.outputs]
    gone = {*replaced}
    write_manifest(folder, [*(one for one in batches if gone.isdisjoint(one.outputs)), batch], replaced)
    remove_unfinished(engine, folder)
    return outputs


def _write(engine: Engine, work: BatchPlan, folder: Path) -> dict[str, str]:
    """One file per run, under a name that nobody reads yet: errors first, so that most questions find them without
    reading the rest; then by time. Gives the names that they are to have."""
    before = [folder / name for batch in work.replaced for name in batch.outputs]
    deduplicate = bool(before) or may_have_duplicates(
        work.sources.values()
    )  # who replaces may meet a line again
    as_text = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in duckdb_views.AS_JSON)
    rows = f"SELECT * REPLACE ({as_text}, coalesce(parent_run_id, '') AS parent_run_id)"
    with open_files.open_all(work.lines, [one for one in before if is_whole_parquet(one)]) as there:
        for error in there.unread.values():
            raise error
        lines = [there.names[path] for path in work.lines]
        records = duckdb_views.records(
            lines, [there.names[one] for one in before if one in there.names], deduplicate=deduplicate
        )
        engine.run(f"CREATE OR REPLACE TEMP TABLE batch AS {rows} FROM ({records})")
    outputs: dict[str, str] = {}
    for (run,) in engine.run("SELECT DISTINCT parent_run_id FROM batch ORDER BY 1").rows:
        name = f"{_part(run)}/{uuid.uuid4().hex}.parquet"
        unfinished = folder / name.replace("/", f"/{UNFINISHED_PREFIX}")
        ownership.make_user_directory(unfinished.parent)
        mark_begun(unfinished)
        _copy(
            engine,
            unfinished,
            f"SELECT * EXCLUDE (parent_run_id) FROM batch WHERE parent_run_id = {literal(run)} "
            "ORDER BY is_error DESC, timestamp",
        )
        outputs[name] = run
    engine.run("DROP TABLE batch")
    return outputs


def _copy(engine: Engine, path: Path, select: str) -> None:
    """Write the rows of a SELECT into a new Parquet file that nobody but this user can ever read."""
    fd = own_files.open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with open(fd, "r+b") as file:
        name = literal(open_files.descriptor_path(fd) or str(path))
        # Without USE_TMP_FILE = false, DuckDB replaces the file by one of its own, with a mode by the umask.
        engine.run(
            f"COPY ({select}) TO {name} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, USE_TMP_FILE false)"
        )
        os.fsync(file.fileno())  # the files that it replaces will be deleted


def _part(run: str) -> str:
    return f"parent_run_id={quote(run, safe='') or duckdb_views.NO_RUN}"


def _named(part: RecordGroup, longest: int) -> bool:
    return len(_part(part.parent_run_id)) <= longest


def _longest(folder: Path) -> int:
    """How many bytes a file's name may have there."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows does not say
        return os.pathconf(folder, "PC_NAME_MAX")
    return NAME_BYTES


def _below(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix()


def _changed(file: discovery.FoundFile) -> datetime:
    return datetime.fromtimestamp(file.modified / 1e9, timezone.utc)
