"""The manifest of a folder `compacted`: the journal files that its Parquet files stand for.

In: the folder. Out: its batches, or None if the file in its place has not exactly the form that amllog writes.
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

MANIFEST = "_manifest.json"  # readers of Parquet pass by what begins with _
MAGIC = b"PAR1"
BATCHES = "batches"
LEFTOVERS = "leftovers"
MANIFEST_PREFIX = f'{{"{BATCHES}": ['  # of its text
_OUTPUT = re.compile(r"parent_run_id=[^/]+/[0-9a-f]{32}\.parquet")


class Source(NamedTuple):
    """A journal file as it went into a batch: its name below the folder that was compacted, and what it held."""

    name: str
    entry: IndexEntry


class Batch(NamedTuple):
    """Journal files that were compacted together, and what came of them."""

    sources: tuple[Source, ...]
    outputs: dict[str, str]  # file below the folder `compacted` → its parent_run_id

    @classmethod
    def read(cls, path: Path) -> list[Batch]:
        """The batches of a folder `compacted`; none where its manifest is missing or no such thing."""
        found = Manifest.read(path)
        while found is not None and not all(batch.is_complete(path) for batch in found.batches):
            again = Manifest.read(path)  # was that a compaction that has replaced files just now?
            if again == found:
                break
            found = again
        return found.batches if found else []

    def is_complete(self, path: Path) -> bool:
        """Whether all its files are in the folder `compacted`."""
        return all(is_whole_parquet(path / name) for name in self.outputs)


def is_whole_parquet(path: Path) -> bool:
    """Whether it is a whole Parquet file, neither itself nor its folder a link."""
    try:
        if path.parent.is_symlink():
            return False
        with open_for_reading(path) as file:
            begin = file.read(len(MAGIC))
            file.seek(-len(MAGIC), os.SEEK_END)
            return begin == MAGIC == file.read()
    except OSError:
        return False


def manifest_problem(path: Path) -> str:
    """Return a sentence if a folder `compacted` cannot be read. "" if it has a manifest, or no compacted file."""
    manifest = path / MANIFEST
    if os.path.lexists(manifest):
        adapt_kql = Manifest.read(path) is not None
        return "" if adapt_kql else f"{manifest}: was not written by this version of amllog, and stays"
    made = (one.relative_to(path).as_posix() for one in path.glob("parent_run_id=*/*.parquet"))
    return f"{manifest}: is missing beside Parquet files" if any(map(_OUTPUT.fullmatch, made)) else ""


class Manifest(NamedTuple):
    """What a folder `compacted` says of itself. `leftovers`: files that may be there and are no batch's."""

    batches: list[Batch]
    leftovers: list[str]

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest of a folder. None if it is missing or has not exactly the form that amllog writes."""
        try:
            return _manifest(own_files.read_bounded(path / MANIFEST, index_json.MAX_BYTES))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def text(self) -> str:
        """It as JSON, as `read` takes it."""
        batches = [{"sources": one.sources, "outputs": one.outputs} for one in self.batches]
        return json.dumps({BATCHES: batches, LEFTOVERS: self.leftovers})


@lru_cache(maxsize=1)  # a question reads it several times
def _manifest(data: bytes) -> Manifest:
    """A manifest. ValueError or TypeError if amllog has not written it."""
    text = index_json.JsonReader(data)
    text.expect(MANIFEST_PREFIX)
    batches = [_batch(text) for _ in text.items("]")]
    leftovers = []
    if text.accept(f', "{LEFTOVERS}": ['):  # before batches were replaced there were none
        leftovers = [_output(text.string()) for _ in text.items("]")]
    text.expect("}")
    text.end()
    outputs = [name for one in batches for name in one.outputs]
    if len({*outputs}) < len(outputs):
        raise ValueError("a file of two batches")
    return Manifest(batches, leftovers)


def _batch(text: index_json.JsonReader) -> Batch:
    """One batch of a manifest. ValueError or TypeError if amllog has not written it."""
    sources, outputs = [], {}
    text.expect('{"sources": [')
    for _ in text.items("]"):
        text.expect("[")
        name = _inside(text.string())
        text.expect(", ")
        sources.append(Source(name, parse_entry(text.value())))
        text.expect("]")
    text.expect(', "outputs": {')
    for _ in text.items("}"):
        name = _output(text.string())
        text.expect(": ")
        outputs[name] = text.string()
    text.expect("}")
    if not sources or not all(one.entry.groups for one in sources):
        raise ValueError("a batch of nothing")
    return Batch(tuple(sources), outputs)


def _inside(name: str) -> str:
    """The name of a file below a folder. ValueError if it leads out of it."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError("a name outside of the folder")
    return name


def _output(name: str) -> str:
    """The name of a file of a batch. ValueError if no compaction gives such names."""
    if not _OUTPUT.fullmatch(name):
        raise ValueError("no name of a compacted file")
    return name
