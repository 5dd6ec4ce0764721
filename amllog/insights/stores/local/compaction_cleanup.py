"""Files of a folder `compacted` that are no batch's: begun by a compaction that did not come to its end, or replaced.

In: the folder. Out: it without them. Only what a compaction made is deleted: a whole file is recognised by its columns,
one that is torn by a mark beside it, which is written before it. A name in the manifest proves nothing. The manifest is
written here too.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from amllog.errors import UsageError
from amllog.insights.query.columns import DIMENSION_COLUMNS
from amllog.insights.query.sql import escape_glob, literal
from amllog.insights.stores.local import duckdb_views, index_json, open_files
from amllog.insights.stores.local.atomic_files import delete_abandoned, write_atomically
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.manifest import MANIFEST, MANIFEST_PREFIX, Batch, Manifest, is_whole_parquet
from amllog.journal import own_files
from amllog.process import descriptors

UNFINISHED_PREFIX = (
    "_"  # what a file's name begins with until its batch is whole: readers of Parquet pass it by
)
# The suffix of a mark beside an unfinished file. A torn Parquet file cannot be recognized by its columns.
BEGUN_SUFFIX = ".begun"
MARK = b"amllog compact was writing the file of this name\n"
# Columns that together only `relation.records` has; the run's is in the folder's name.
_COLUMNS = {*DIMENSION_COLUMNS, *duckdb_views.AS_JSON, "timestamp", "itemType", "itemId", "is_error"} - {
    "parent_run_id"
}
_MADE = re.compile(rf"{UNFINISHED_PREFIX}?[0-9a-f]{{32}}\.parquet")


def mark_begun(path: Path) -> None:
    """Say that a file is going to be written whose name begins with `UNFINISHED_PREFIX`."""
    fd = own_files.open_regular(path.with_suffix(BEGUN_SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(fd, "wb") as file:
            file.write(MARK)
    except BaseException:  # the disk is full, say
        path.with_suffix(BEGUN_SUFFIX).unlink()
        raise


def remove_unfinished(engine: Engine, folder: Path) -> None:
    """Remove what is no batch's: begun by a compaction that did not come to its end, or replaced."""
    delete_abandoned(folder / MANIFEST, MANIFEST_PREFIX.encode())
    for mark in folder.glob(f"parent_run_id=*/{UNFINISHED_PREFIX}*{BEGUN_SUFFIX}"):
        _remove_begun(folder, mark)
    for path in folder.glob(f"parent_run_id=*/{UNFINISHED_PREFIX}*.parquet"):
        _remove(engine, folder, path)
    found = Manifest.read(folder)
    if found is None or not found.leftovers:
        return
    known = {name for batch in found.batches for name in batch.outputs}
    for name in set(found.leftovers) - known:
        _remove(engine, folder, folder / name)
    write_manifest(folder, found.batches, [name for name in found.leftovers if (folder / name).exists()])


def _remove_begun(folder: Path, mark: Path) -> None:
    """Delete a file that a compaction was writing, and the mark beside it that says so.

    Beside a torn mark there is no such file yet: the mark is written first.
    """
    path = mark.with_suffix(".parquet")
    with contextlib.suppress(OSError):
        text = own_files.read_bounded(mark, len(MARK)) if _is_within(folder, path) else b"other"
        if text == MARK:
            _delete(path)
        if MARK.startswith(text):
            _delete(mark)


def _remove(engine: Engine, folder: Path, path: Path) -> None:
    """Delete a Parquet file that a compaction made: by its name, its place, its owner and its columns."""
    with contextlib.suppress(OSError, UsageError):  # not there, torn, or open on Windows
        if _is_within(folder, path) and is_whole_parquet(path):
            with open_files.open_all([], [path]) as there:
                names = [literal(escape_glob(name)) for name in there.names.values()]
                columns = engine.run(f"SELECT name FROM parquet_schema([{', '.join(names)}])").rows
            if {name for (name,) in columns} >= _COLUMNS:
                _delete(path)


def _is_within(folder: Path, path: Path) -> bool:
    """Whether a compaction gives files such a name and such a place."""
    place = path.parent
    return (
        _MADE.fullmatch(path.name) is not None
        and not place.is_symlink()
        and path.resolve().parent.parent == folder
    )


def _delete(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), open(own_files.open_regular(path), "rb") as file:
        own_files.delete_if_same(path, descriptors.read_identity(file.fileno()))


def write_manifest(folder: Path, batches: list[Batch], leftovers: list[str]) -> None:
    """Write the manifest, at once or not at all."""
    data = Manifest(batches, leftovers).text.encode()
    if len(data) > index_json.MAX_BYTES:  # nobody could read it
        raise UsageError(
            f"{folder / MANIFEST} would be larger than {index_json.MAX_BYTES:,} bytes: move the folder to a directory "
            "of its own, with the journal files that are compacted in it"
        )
    write_atomically(folder / MANIFEST, data)
