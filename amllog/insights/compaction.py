"""Old runs → Parquet, partitioned by run: smaller, faster, and readable by Spark, Fabric and Azure Data Explorer.

In: a journal directory. Out: files `compacted/parent_run_id=…/*.parquet`, each with the columns of `records`, and a
manifest that says which journal files they stand for. The journal files stay; whoever removes them loses no record.
A compaction that is killed leaves files whose names begin with `_`, which nobody reads and the next one removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from amllog.errors import UsageError
from amllog.insights import files, relation
from amllog.insights.engine import Engine
from amllog.insights.holdings import BATCHES, MANIFEST, Batch, Source
from amllog.insights.index import Entry, Index, overlap
from amllog.insights.sql import literal

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

LOCK = "_lock"
UNFINISHED = "_"  # what a file's name begins with until its batch is whole: readers of Parquet pass it by
BATCH_BYTES = 128 * 1024 * 1024


class Compacted(NamedTuple):
    """What was done: so many journal files of so many bytes, in so many Parquet files. And how many were left alone:
    `written` to not long ago or held by their writer, compacted
    `before`, or `empty` of records."""

    sources: int
    source_bytes: int
    outputs: int
    output_bytes: int
    written: int
    before: int
    empty: int


def compact(
    directory: Path,
    *,
    idle: timedelta = timedelta(minutes=10),
    progress: Callable[[int, int], None] | None = None,
) -> Compacted:
    """Compact what nobody has written to for `idle` and is not compacted yet. UsageError without a directory, where
    it cannot be written to, and while somebody else compacts it.

    `progress` is told, after each batch, how many bytes of how many are done.
    """
    if not directory.is_dir():
        raise UsageError(f"no such directory: {directory}")
    directory, engine = directory.resolve(), Engine()
    try:
        with _alone(directory / files.COMPACTED):
            return _compacted(engine, directory, idle, progress)
    except OSError as error:
        raise UsageError(f"{directory} cannot be compacted: {error}") from error


def _compacted(
    engine: Engine, directory: Path, idle: timedelta, progress: Callable[[int, int], None] | None
) -> Compacted:
    folder = directory / files.COMPACTED
    done = {(one.name, one.entry.size) for batch in Batch.read(folder) for one in batch.sources}
    latest = datetime.now(timezone.utc) - idle
    there = files.find([directory], own=True)
    found = [one for one in there if (_name(one, directory), one.size) not in done]
    ready = [one for one in found if _changed(one) <= latest and not files.is_open(one.path)]
    entries = {path: entry for path, entry in Index(engine).entries(ready).items() if entry.parts}
    total, sizes = sum(entry.size for entry in entries.values()), [0]
    outputs: list[Path] = []
    for batch in _batches(entries):
        written = _write(engine, batch, entries, folder)
        _note(folder, Batch(tuple(Source(_below(path, directory), entries[path]) for path in batch), written))
        outputs += [folder / name for name in written]
        sizes.append(sizes[-1] + sum(entries[path].size for path in batch))
        if progress:
            progress(sizes[-1], total)
    return Compacted(
        sources=len(entries),
        source_bytes=total,
        outputs=len(outputs),
        output_bytes=sum(one.stat().st_size for one in outputs),
        written=len(found) - len(ready),
        before=len(there) - len(found),
        empty=len(ready) - len(entries),
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at once would write the same records twice, and each its manifest over the other's."""
    folder.mkdir(exist_ok=True)
    with (folder / LOCK).open("wb") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: somebody else is compacting it now") from None
        except OSError:
            pass  # a file system without locks
        if (folder / MANIFEST).exists() and not Batch.read(folder):
            raise UsageError(
                f"{folder / MANIFEST} cannot be read (damaged, or of another version of amllog): where its journal "
                "files are still there, remove the folder; else move it away"
            )
        _tidy(folder)
        try:
            yield
        finally:
            _tidy(folder)


def _tidy(folder: Path) -> None:
    """Remove what a compaction left that did not come to its end."""
    for path in folder.glob(f"*/{UNFINISHED}*.parquet"):
        path.unlink()


def _batches(entries: dict[Path, Entry]) -> Iterator[list[Path]]:
    """Files of one run together, as many as DuckDB sorts in memory."""
    batch: list[Path] = []
    size = 0
    for path in sorted(entries, key=lambda one: (entries[one].parts[0].parent_run_id, one.name)):
        if batch and size + entries[path].size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += entries[path].size
    if batch:
        yield batch


def _write(engine: Engine, batch: Sequence[Path], entries: dict[Path, Entry], folder: Path) -> dict[str, str]:
    """One file per run: errors first, so that most questions find them without reading the rest; then by time."""
    once = overlap(entries[path] for path in batch)
    as_text = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in relation.AS_JSON)
    rows = f"SELECT * REPLACE ({as_text}, coalesce(parent_run_id, '') AS parent_run_id)"
    engine.run(f"CREATE OR REPLACE TEMP TABLE batch AS {rows} FROM ({relation.records(batch, once=once)})")
    written: dict[Path, tuple[Path, str]] = {}
    for (run,) in engine.run("SELECT DISTINCT parent_run_id FROM batch ORDER BY 1").rows:
        part = folder / f"parent_run_id={quote(run, safe='') or relation.NO_RUN}"
        part.mkdir(parents=True, exist_ok=True)
        name = f"{uuid.uuid4().hex}.parquet"
        unfinished = part / f"{UNFINISHED}{name}"
        engine.run(
            f"COPY (SELECT * EXCLUDE (parent_run_id) FROM batch WHERE parent_run_id = {literal(run)} "
            f"ORDER BY is_error DESC, timestamp) TO {literal(str(unfinished))} "
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
        )
        written[unfinished] = part / name, run
    engine.run("DROP TABLE batch")
    for unfinished, (path, _run) in written.items():
        unfinished.rename(path)
    return {str(path.relative_to(folder)): run for path, run in written.values()}


def _note(folder: Path, batch: Batch) -> None:
    """Add a batch to the manifest, at once or not at all."""
    batches = [*Batch.read(folder), batch]
    text = json.dumps({BATCHES: [{"sources": one.sources, "outputs": one.outputs} for one in batches]})
    fresh = folder / f"{MANIFEST}.{os.getpid()}"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(folder / MANIFEST)


def _name(file: files.File, directory: Path) -> str:
    return _below(file.path, directory)


def _below(path: Path, directory: Path) -> str:
    return path.relative_to(directory).as_posix()


def _changed(file: files.File) -> datetime:
    return datetime.fromtimestamp(file.changed / 1e9, timezone.utc)
