"""Load and save the index file of a folder, which is a cache."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from amllog.insights.stores.local import index_json
from amllog.insights.stores.local.atomic_files import is_replaceable, write_atomically
from amllog.insights.stores.local.index_entries import IndexEntry, parse_entry
from amllog.journal import own_files

INDEX_NAME = ".amllog-index.json"
INDEX_PREFIX = b'{"version": '
VERSION = 6


def load(folder: Path) -> dict[Path, IndexEntry] | None:
    """Return the entries of files that exist, or None if amllog did not write the file.

    The result is empty if the file is missing, empty, or of an earlier version.
    """
    try:
        data = own_files.read_bounded(folder / INDEX_NAME, index_json.MAX_BYTES)
        return _parse(data, folder) if data else {}
    except (ValueError, TypeError):
        return None
    except OSError as error:
        # After another error, the file cannot be replaced either.
        return None if error.errno == errno.EFBIG else {}


def save(folder: Path, entries: Mapping[Path, IndexEntry]) -> None:
    """Write the entries. If the folder is read-only or the disk is full, the next process creates them again."""
    values = {path.name: json.dumps(entry) for path, entry in entries.items()}
    members = [
        f"{json.dumps(name)}: {value}"
        for name, value in values.items()
        if len(value) < index_json.MAX_VALUE_CHARACTERS
    ]
    data = f'{INDEX_PREFIX.decode()}{VERSION}, "files": {{{", ".join(members)}}}}}'.encode()
    with contextlib.suppress(OSError):
        if len(data) <= index_json.MAX_BYTES and is_replaceable(folder / INDEX_NAME, INDEX_PREFIX):
            write_atomically(folder / INDEX_NAME, data)


def _parse(data: bytes, folder: Path) -> dict[Path, IndexEntry]:
    """Return the entries. Raises ValueError or TypeError if amllog did not write the data."""
    existing, entries = {*os.listdir(folder)}, dict[Path, IndexEntry]()
    reader = index_json.JsonReader(data)
    reader.expect(INDEX_PREFIX.decode())
    versions = (*range(VERSION, 0, -1), None)
    version = next(number for number in versions if number is None or reader.accept(str(number)))
    reader.expect(', "files": {')
    for _ in reader.items("}"):
        name = reader.string()
        reader.expect(": ")
        value = reader.value()
        entry = parse_entry(value) if version == VERSION else None
        if entry is not None and name in existing:
            entries[folder / name] = entry
    reader.expect("}")
    reader.end()
    return entries
