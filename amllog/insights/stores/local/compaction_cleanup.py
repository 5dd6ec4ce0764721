"""Write the manifest, and delete Parquet files that belong to no batch.

Such a file was begun by an interrupted compaction, or its batch was replaced. Only files that a compaction created are
deleted, and a name in the manifest proves nothing, because other programs can write to the folder. A whole file is
recognized by its columns. A torn file has no readable columns, so a mark is written beside a file before it is begun.
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

UNFINISHED_PREFIX = "_"  # of a file until its batch is complete. Readers of Parquet ignore such names.
BEGUN_SUFFIX = ".begun"  # of the mark beside an unfinished file
MARK = b"amllog compact was writing the file of this name\n"
# Columns that only `duckdb_views.records` has together. The run id is in the folder's name.
_COLUMNS = {
    *DIMENSION_COLUMNS,
    *duckdb_views.JSON_COLUMNS,
    "timestamp",
    "itemType",
    "itemId",
    "is_error",
} - {"parent_run_id"}
_PARQUET_NAME = re.compile(rf"{UNFINISHED_PREFIX}?[0-9a-f]{{32}}\.parquet")


def mark_begun(path: Path) -> None:
    """Write the mark of a file that is about to be written, and whose name begins with `UNFINISHED_PREFIX`."""
    fd = own_files.open_regular(path.with_suffix(BEGUN_SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(fd, "wb") as file:
            file.write(MARK)
    except BaseException:  # such as a full disk
        path.with_suffix(BEGUN_SUFFIX).unlink()
        raise


def remove_unfinished(engine: Engine, folder: Path) -> None:
    """Delete the files in a folder of compacted files that belong to no batch."""
    delete_abandoned(folder / MANIFEST, MANIFEST_PREFIX.encode())
    for mark in folder.glob(f"parent_run_id=*/{UNFINISHED_PREFIX}*{BEGUN_SUFFIX}"):
        _remove_begun(folder, mark)
    for path in folder.glob(f"parent_run_id=*/{UNFINISHED_PREFIX}*.parquet"):
        _remove_parquet(engine, folder, path)
    manifest = Manifest.read(folder)
    if manifest is None or not manifest.leftovers:
        return
    outputs = {name for batch in manifest.batches for name in batch.outputs}
    for name in set(manifest.leftovers) - outputs:
        _remove_parquet(engine, folder, folder / name)
    leftovers = [name for name in manifest.leftovers if (folder / name).exists()]
    write_manifest(folder, manifest.batches, leftovers)


def _remove_begun(folder: Path, mark: Path) -> None:
    """Delete a file that a compaction was writing, and then its mark.

    The mark is written first. So beside an incomplete mark, there is no file of a compaction yet.
    """
    path = mark.with_suffix(".parquet")
    with contextlib.suppress(OSError):
        content = own_files.read_bounded(mark, len(MARK)) if _is_output_path(folder, path) else b"other"
        if content == MARK:
            _delete(path)
        if MARK.startswith(content):
            _delete(mark)


def _remove_parquet(engine: Engine, folder: Path, path: Path) -> None:
    """Delete a Parquet file that a compaction created, by its name, folder, owner and columns."""
    # The file may be missing or torn, or open on Windows.
    with contextlib.suppress(OSError, UsageError):
        if _is_output_path(folder, path) and is_whole_parquet(path):
            with open_files.open_all([], [path]) as opened:
                names = [literal(escape_glob(name)) for name in opened.names.values()]
                columns = engine.run(f"SELECT name FROM parquet_schema([{', '.join(names)}])").rows
            if {name for (name,) in columns} >= _COLUMNS:
                _delete(path)


def _is_output_path(folder: Path, path: Path) -> bool:
    """Return whether compactions create files with such a name in such a folder."""
    return (
        _PARQUET_NAME.fullmatch(path.name) is not None
        and not path.parent.is_symlink()
        and path.resolve().parent.parent == folder
    )


def _delete(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), open(own_files.open_regular(path), "rb") as file:
        own_files.delete_if_same(path, descriptors.read_identity(file.fileno()))


def write_manifest(folder: Path, batches: list[Batch], leftovers: list[str]) -> None:
    """Write the manifest atomically. Raises UsageError if it would be larger than the reader accepts."""
    data = Manifest(batches, leftovers).to_json().encode()
    if len(data) > index_json.MAX_BYTES:
        raise UsageError(
            f"{folder / MANIFEST} would be larger than {index_json.MAX_BYTES:,} bytes: move the folder and its "
            "journal files to another directory"
        )
    write_atomically(folder / MANIFEST, data)
