"""The manifest of a folder of compacted files, which lists the journal files that its Parquet files replace.

The manifest is the file `_manifest.json`. Readers of Parquet ignore names that begin with `_`. `batches` lists the
batches. Each has `sources`, which are journal files with their index entries at that time, and `outputs`, which are
Parquet files with their run ids. `leftovers` lists Parquet files that belong to no batch and may still exist.

The manifest decides which Parquet files are read, so the crash safety of a compaction depends on it. See `compaction`.
A file that does not have exactly the form that amllog writes is never replaced.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from amllog.insights.stores.local import index_json
from amllog.insights.stores.local.index_entries import IndexEntry, parse_entry
from amllog.insights.stores.local.other_formats import open_for_reading
from amllog.journal import own_files

MANIFEST = "_manifest.json"
BATCHES = "batches"
LEFTOVERS = "leftovers"
MANIFEST_PREFIX = f'{{"{BATCHES}": ['
_PARQUET_MAGIC = b"PAR1"
_OUTPUT = re.compile(r"parent_run_id=[^/]+/[0-9a-f]{32}\.parquet")


class SourceFile(NamedTuple):
    """A journal file of a batch: its name relative to the compacted directory, and its content at that time."""

    name: str
    entry: IndexEntry


class Batch(NamedTuple):
    """Journal files that were compacted together, and the resulting files by name, with their run ids."""

    sources: tuple[SourceFile, ...]
    outputs: dict[str, str]

    def is_complete(self, folder: Path) -> bool:
        """Return whether all its Parquet files are in the folder of compacted files."""
        return all(is_whole_parquet(folder / name) for name in self.outputs)


class Manifest(NamedTuple):
    """The content of a manifest. `leftovers`: files that belong to no batch and may still exist."""

    batches: list[Batch]
    leftovers: list[str]

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Return the manifest of a folder. None if it is missing, or if amllog did not write it."""
        try:
            return _parse(own_files.read_bounded(folder / MANIFEST, index_json.MAX_BYTES))
        except (OSError, ValueError, TypeError):
            return None

    def to_json(self) -> str:
        """Return the JSON text that `read` accepts."""
        batches = [{"sources": batch.sources, "outputs": batch.outputs} for batch in self.batches]
        return json.dumps({BATCHES: batches, LEFTOVERS: self.leftovers})


def read_batches(folder: Path) -> list[Batch]:
    """Return the batches of a folder of compacted files, or none without a valid manifest.

    A missing Parquet file can mean that a compaction has just replaced it. Then the manifest is read again.
    """
    manifest = Manifest.read(folder)
    while manifest is not None and not all(batch.is_complete(folder) for batch in manifest.batches):
        latest = Manifest.read(folder)
        if latest == manifest:
            break
        manifest = latest
    return manifest.batches if manifest else []


def is_whole_parquet(path: Path) -> bool:
    """Return whether the file is a complete Parquet file, and neither it nor its folder is a link."""
    try:
        if path.parent.is_symlink():
            return False
        with open_for_reading(path) as file:
            start = file.read(len(_PARQUET_MAGIC))
            file.seek(-len(_PARQUET_MAGIC), os.SEEK_END)
            return start == _PARQUET_MAGIC == file.read()
    except OSError:
        return False


def manifest_problem(folder: Path) -> str:
    """Return a sentence if the compacted files of a folder cannot be read. "" without a problem or without files."""
    path = folder / MANIFEST
    if os.path.lexists(path):
        is_valid = Manifest.read(folder) is not None
        return "" if is_valid else f"{path}: was not written by this version of amllog, and stays"
    names = (path.relative_to(folder).as_posix() for path in folder.glob("parent_run_id=*/*.parquet"))
    return f"{path}: is missing beside Parquet files" if any(map(_OUTPUT.fullmatch, names)) else ""


@lru_cache(maxsize=1)  # a query reads the manifest several times
def _parse(data: bytes) -> Manifest:
    """Return a manifest. Raises ValueError or TypeError if amllog did not write the data."""
    reader = index_json.JsonReader(data)
    reader.expect(MANIFEST_PREFIX)
    batches = [_parse_batch(reader) for _ in reader.items("]")]
    leftovers = []
    if reader.accept(f', "{LEFTOVERS}": ['):  # amllog wrote none before it replaced batches
        leftovers = [_output_name(reader.string()) for _ in reader.items("]")]
    reader.expect("}")
    reader.end()
    outputs = [name for batch in batches for name in batch.outputs]
    if len({*outputs}) < len(outputs):
        raise ValueError("a file of two batches")
    return Manifest(batches, leftovers)


def _parse_batch(reader: index_json.JsonReader) -> Batch:
    sources, outputs = [], {}
    reader.expect('{"sources": [')
    for _ in reader.items("]"):
        reader.expect("[")
        name = _source_name(reader.string())
        reader.expect(", ")
        sources.append(SourceFile(name, parse_entry(reader.value())))
        reader.expect("]")
    reader.expect(', "outputs": {')
    for _ in reader.items("}"):
        name = _output_name(reader.string())
        reader.expect(": ")
        outputs[name] = reader.string()
    reader.expect("}")
    if not sources or not all(source.entry.groups for source in sources):
        raise ValueError("a batch without records")
    return Batch(tuple(sources), outputs)


def _source_name(name: str) -> str:
    """Return the name. Raises ValueError if the path is outside of the compacted directory."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError("a name outside of the folder")
    return name


def _output_name(name: str) -> str:
    """Return the name. Raises ValueError if no compaction creates such names."""
    if not _OUTPUT.fullmatch(name):
        raise ValueError("not the name of a compacted file")
    return name
