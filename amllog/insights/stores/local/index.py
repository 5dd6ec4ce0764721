"""What each file holds, so that a question reads only the files that it is about.

In: files. Out: an `Entry` per file: which runs and steps, of which kind, of when, how severe; how many lines could not
be read; which record numbers. Kept beside the journals in `.amllog-index.json`, which is a cache and nothing more: what
does not fit the files is made anew, and where it cannot be written it is made each time. A file in its place that
amllog has not written stays. Of a file that has grown, only what was added is read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights.stores.local import duckdb_views, index_json, open_files, temporary_directory
from amllog.insights.stores.local.atomic_files import delete_abandoned, is_replaceable, write_atomically
from amllog.insights.stores.local.discovery import FoundFile, copy_from, fingerprint, has_long_line
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index_entries import (
    UNREADABLE,
    IdRange,
    IndexEntry,
    RecordGroup,
    parse_entry,
)
from amllog.journal import own_files

INDEX_NAME = ".amllog-index.json"
VERSION = 5
_BEGIN = b'{"version": '


class Index:
    """The entries of files, read from the caches beside them and made where they are missing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[Path, IndexEntry] = {}
        self._loaded: set[Path] = set()
        self._tidied: set[Path] = set()
        self.foreign: list[Path] = []  # files in the place of a cache that amllog has not written: they stay

    def entries(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        """One entry per file, true for the file as it is now."""
        for folder in {file.path.parent for file in files} - self._loaded:
            self._loaded.add(folder)
            known = _load(folder)
            if known is None:
                self.foreign.append(folder / INDEX_NAME)
            self._known.update(known or {})
        stale = [file for file in files if not _fits(self._known.get(file.path), file)]
        if stale:
            grown = self._grown([file for file in stale if _is_longer(self._known.get(file.path), file)])
            self._known.update({**self._made([file for file in stale if file.path not in grown]), **grown})
            for folder in {
                file.path.parent for file in stale if file.path.parent / INDEX_NAME not in self.foreign
            }:
                _save(folder, {path: one for path, one in self._known.items() if path.parent == folder})
        return {file.path: self._known[file.path] for file in files}

    def remove_abandoned(self, folders: Iterable[Path]) -> None:
        """Delete from folders, once each, what killed processes have left of new caches."""
        for folder in {*folders} - self._tidied:
            self._tidied.add(folder)
            delete_abandoned(folder / INDEX_NAME, _BEGIN)

    def _grown(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        """Entries from what was known and what was added; without those for which all must be read."""
        found: dict[Path, IndexEntry] = {}
        if not files:
            return found
        with temporary_directory.subdirectory() as folder:
            added = {}
            for number, file in enumerate(files):
                with contextlib.suppress(OSError):
                    target = folder / f"{number}.jsonl"
                    if has_long_line(file.path, self._known[file.path].size, file.size):
                        continue  # `_made` reports it
                    copy_from(file, self._known[file.path].size, target)
                    added[file] = target
            rest = self._made([FoundFile(path, file.size, file.modified) for file, path in added.items()])
            for file, path in added.items():
                entry = _joined(self._known[file.path], rest[path], fingerprint(file.path, file.size))
                if entry is not None:
                    found[file.path] = entry
        return found

    def _made(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        long = [file for file in files if _is_beyond(file)]
        unread = {file.path: IndexEntry(file.size, UNREADABLE, 0, (), (), "") for file in long}
        files = [file for file in files if file.path not in unread]
        if not files:
            return unread
        try:
            return {**unread, **self._scanned(files)}
        except UsageError:  # one of them is not for us, or beyond DuckDB: a line beyond the limit, say
            if len(files) == 1:
                return {**unread, files[0].path: IndexEntry(files[0].size, UNREADABLE, 0, (), (), "")}
            middle = len(files) // 2
            return {**unread, **self._made(files[:middle]), **self._made(files[middle:])}

    def _scanned(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        entries, most = dict[Path, IndexEntry](), max(1, open_files.max_open_files())
        for start in range(0, len(files), most):
            some = {file.path: file for file in files[start : start + most]}
            with open_files.open_all(some) as there:
                found = {str(name): (some[path], [0], dict[Any, RecordGroup](), dict[Any, IdRange]())
                         for path, name in there.names.items()}  # fmt: skip
                for row in self._engine.run(_statement(there.names.values())).rows if found else ():
                    _file, torn, groups, series = found[row[0]]
                    _add(row[1:], torn, groups, series)
            for file, torn, groups, series in found.values():
                own = tuple(groups.values()), tuple(series.values())
                entries[file.path] = IndexEntry(
                    file.size, file.modified, torn[0], *own, _fingerprint_now(file)
                )
            entries |= {path: IndexEntry(some[path].size, UNREADABLE, 0, (), (), "") for path in there.unread}
        return entries


def _is_beyond(file: FoundFile) -> bool:
    """Whether DuckDB must not read the file: for a line beyond the limit it would take as much memory."""
    try:
        return has_long_line(file.path, 0, file.size)
    except OSError:
        return True


def may_have_duplicates(entries: Iterable[IndexEntry]) -> bool:
    """Whether some record may stand in these files more than once."""
    ranges = sorted(series for entry in entries for series in entry.id_ranges)
    doubled = any(one.records > one.distinct for one in ranges)
    pairs = zip(ranges, ranges[1:])
    return doubled or any(one.prefix == two.prefix and two.low <= one.high for one, two in pairs)


def _statement(paths: Iterable[Path]) -> str:
    """One scan for all that an entry says."""
    identity = "b.properties->>'record_id'"
    number = f"TRY_CAST('0x' || split_part({identity}, '-', 2) AS BIGINT)"
    # Where the id is another SDK's: any number that tells it apart.
    number = f"coalesce({number}, CAST(hash({identity}) >> 1 AS BIGINT))"
    return f"""
SELECT filename, run, step, name, kind, series, count(*), min(time), max(time), max(severity),
  count(*) FILTER (WHERE is_error), min(number), max(number), count(DISTINCT number)
FROM (
  SELECT filename, b.properties->>'parent_run_id' AS run, b.properties->>'step_id' AS step,
    b.properties->>'step_name' AS name,
    CASE WHEN {duckdb_views.IS_RECORD} THEN {duckdb_views.column("itemType")} END AS kind,
    split_part({identity}, '-', 1) AS series, {duckdb_views.TIME} AS time, {duckdb_views.SEVERITY} AS severity,
    {duckdb_views.column("is_error")} AS is_error, {number} AS number
  FROM (SELECT *, data.baseData AS b FROM {duckdb_views.read_lines(paths, duckdb_views.INDEX_MEMBERS)})
)
GROUP BY ALL"""


def _add(
    row: Sequence[Any], torn: list[int], groups: dict[Any, RecordGroup], series: dict[Any, IdRange]
) -> None:
    """One group of records into what is known of its file."""
    run, step, step_name, kind, name, lines, first, last, severity, errors, low, high, distinct = row
    if kind is None:
        torn[0] += lines
        return
    key = (run or "", step or "", step_name or "", kind)
    part = RecordGroup(
        *key, lines, first.isoformat(), last.isoformat(), -1 if severity is None else severity, errors
    )
    groups[key] = _both(groups[key], part) if key in groups else part
    if name is not None:
        one, had = IdRange(name, low, high, lines, distinct), series.get(name)
        series[name] = _all(had, one) if had else one


def _both(one: RecordGroup, other: RecordGroup) -> RecordGroup:
    return one._replace(
        records=one.records + other.records, first=min(one.first, other.first), last=max(one.last, other.last),
        severity=max(one.severity, other.severity), errors=one.errors + other.errors,
    )  # fmt: skip


def _all(one: IdRange, other: IdRange) -> IdRange:
    return IdRange(one.prefix, min(one.low, other.low), max(one.high, other.high), one.records + other.records,
                  one.distinct + other.distinct)  # fmt: skip


def _joined(known: IndexEntry, rest: IndexEntry, fingerprint: str) -> IndexEntry | None:
    """A file's entry from those of its two parts; None where a record may stand in both, or the second is no lines."""
    if rest.modified == UNREADABLE or (rest.torn and not rest.groups):
        return None
    groups = {part.key: part for part in known.groups}
    series = {one.prefix: one for one in known.id_ranges}
    for part in rest.groups:
        groups[part.key] = _both(groups[part.key], part) if part.key in groups else part
    for one in rest.id_ranges:
        had = series.get(one.prefix)
        if had and had.low <= one.high and one.low <= had.high:
            return None
        series[one.prefix] = _all(had, one) if had else one
    torn = known.torn + rest.torn
    return IndexEntry(
        rest.size, rest.modified, torn, tuple(groups.values()), tuple(series.values()), fingerprint
    )


def _is_longer(entry: IndexEntry | None, file: FoundFile) -> bool:
    """Whether the file still begins with what was read, and only has more now."""
    return (
        entry is not None
        and entry.size < file.size
        and entry.fingerprint != ""
        and entry.fingerprint == fingerprint(file.path, entry.size)
    )


def _fingerprint_now(file: FoundFile) -> str:
    """The seal of what was just read; "" where somebody has written since, of which a part may have been read."""
    with contextlib.suppress(OSError):
        if file.path.stat().st_size == file.size:
            return fingerprint(file.path, file.size)
    return ""


def _fits(entry: IndexEntry | None, file: FoundFile) -> bool:
    return entry is not None and (entry.size, entry.modified) == (file.size, file.modified)


def _load(folder: Path) -> dict[Path, IndexEntry] | None:
    """The entries of the cache for files that exist. None if the file is not our cache.

    Nothing where it is missing, empty, or of an earlier version.
    """
    try:
        data = own_files.read_bounded(folder / INDEX_NAME, index_json.MAX_BYTES)
        return _read(data, folder) if data else {}
    except (ValueError, TypeError):
        return None
    except OSError as error:
        return None if error.errno == errno.EFBIG else {}  # another reason: it cannot be replaced either


def _read(data: bytes, folder: Path) -> dict[Path, IndexEntry]:
    """The entries of a cache. ValueError or TypeError if amllog has not written it."""
    there, found = {*os.listdir(folder)}, dict[Path, IndexEntry]()
    text = index_json.JsonReader(data)
    text.expect(_BEGIN.decode())
    version = next(
        number for number in (*range(VERSION, 0, -1), None) if number is None or text.accept(str(number))
    )
    text.expect(', "files": {')
    for _ in text.items("}"):
        name = text.string()
        text.expect(": ")
        entry = text.value()
        known = parse_entry(entry) if version == VERSION else None
        if known is not None and name in there:
            found[folder / name] = known
    text.expect("}")
    text.end()
    return found


def _save(folder: Path, entries: Mapping[Path, IndexEntry]) -> None:
    texts = {path.name: json.dumps(one) for path, one in entries.items()}
    kept = [
        f"{json.dumps(name)}: {one}"
        for name, one in texts.items()
        if len(one) < index_json.MAX_VALUE_CHARACTERS
    ]
    data = f'{_BEGIN.decode()}{VERSION}, "files": {{{", ".join(kept)}}}}}'.encode()
    with contextlib.suppress(OSError):  # read-only, or full: it is made again next time
        if len(data) <= index_json.MAX_BYTES and is_replaceable(folder / INDEX_NAME, _BEGIN):
            write_atomically(folder / INDEX_NAME, data)
