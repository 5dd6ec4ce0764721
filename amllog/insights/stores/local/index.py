"""The cached index of the content of each file, so that a query reads only the files that it needs.

The index of a folder is the file `.amllog-index.json` in it. Its first member is the version, and `files` has one entry
per file name: runs, steps, record types, time ranges, highest severity, torn lines and record ids.

The index is a cache and safe to delete. An entry is valid for one size and modification time. A changed file is read
again, and an index that cannot be written is created again for each process. Journals are only appended to. So a longer
file with the same fingerprint is read only from its former end. A file of this name that amllog did not write is not
replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.insights.stores.local import duckdb_views, index_file, open_files, temporary_directory
from amllog.insights.stores.local.atomic_files import delete_abandoned
from amllog.insights.stores.local.discovery import FoundFile, copy_from, fingerprint
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index_entries import UNREADABLE, IdRange, IndexEntry, RecordGroup
from amllog.insights.stores.local.index_file import INDEX_NAME, INDEX_PREFIX
from amllog.insights.stores.local.long_lines import has_long_line


class Index:
    """The entries of files: loaded from the index files beside them, and created where they are missing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[Path, IndexEntry] = {}
        self._loaded: set[Path] = set()
        self._cleaned: set[Path] = set()
        self.foreign: list[Path] = []  # files at the path of an index that amllog did not write

    def entries(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        """Return one entry per file, valid for its present state."""
        for folder in {file.path.parent for file in files} - self._loaded:
            self._loaded.add(folder)
            known = index_file.load(folder)
            if known is None:
                self.foreign.append(folder / INDEX_NAME)
            self._known.update(known or {})
        stale = [file for file in files if not _is_valid(self._known.get(file.path), file)]
        if stale:
            extended = self._extend(
                [file for file in stale if _is_appended(self._known.get(file.path), file)]
            )
            created = self._create([file for file in stale if file.path not in extended])
            self._known.update({**created, **extended})
            for folder in {file.path.parent for file in stale}:
                if folder / INDEX_NAME not in self.foreign:
                    entries = {path: entry for path, entry in self._known.items() if path.parent == folder}
                    index_file.save(folder, entries)
        return {file.path: self._known[file.path] for file in files}

    def remove_abandoned(self, folders: Iterable[Path]) -> None:
        """Delete new index files that killed processes left behind, once per folder."""
        for folder in {*folders} - self._cleaned:
            self._cleaned.add(folder)
            delete_abandoned(folder / INDEX_NAME, INDEX_PREFIX)

    def _extend(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        """Return entries of known content and appended bytes. Files that must be read completely are missing."""
        entries: dict[Path, IndexEntry] = {}
        if not files:
            return entries
        with temporary_directory.subdirectory() as folder:
            tails = {}
            for number, file in enumerate(files):
                with contextlib.suppress(OSError):
                    target = folder / f"{number}.jsonl"
                    if has_long_line(file.path, self._known[file.path].size, file.size):
                        continue  # `_create` reports it
                    copy_from(file, self._known[file.path].size, target)
                    tails[file] = target
            tail_entries = self._create(
                [FoundFile(path, file.size, file.modified) for file, path in tails.items()]
            )
            for file, path in tails.items():
                known = self._known[file.path]
                entry = _joined(known, tail_entries[path], fingerprint(file.path, file.size))
                if entry is not None:
                    entries[file.path] = entry
        return entries

    def _create(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        unreadable = {file.path: _unreadable(file) for file in files if _has_long_line(file)}
        files = [file for file in files if file.path not in unreadable]
        if not files:
            return unreadable
        try:
            return {**unreadable, **self._scan(files)}
        except UsageError:  # DuckDB cannot read one of them
            if len(files) == 1:
                return {**unreadable, files[0].path: _unreadable(files[0])}
            middle = len(files) // 2
            return {**unreadable, **self._create(files[:middle]), **self._create(files[middle:])}

    def _scan(self, files: Sequence[FoundFile]) -> dict[Path, IndexEntry]:
        entries, batch_size = dict[Path, IndexEntry](), max(1, open_files.max_open_files())
        for start in range(0, len(files), batch_size):
            batch = {file.path: file for file in files[start : start + batch_size]}
            with open_files.open_all(batch) as opened:
                contents = {str(name): _Content(batch[path]) for path, name in opened.names.items()}
                for row in self._engine.run(_statement(opened.names.values())).rows if contents else ():
                    contents[row[0]].add(row[1:])
            entries |= {content.file.path: content.entry() for content in contents.values()}
            entries |= {path: _unreadable(batch[path]) for path in opened.unread}
        return entries


class _Content:
    """The content of one file, collected from rows of `_statement`."""

    def __init__(self, file: FoundFile) -> None:
        self.file = file
        self._torn = 0
        self._groups: dict[tuple[str, ...], RecordGroup] = {}
        self._id_ranges: dict[str, IdRange] = {}

    def add(self, row: Sequence[Any]) -> None:
        """Add a row, which counts the records of one step, type and range of ids."""
        (
            run,
            step,
            step_name,
            item_type,
            root,
            prefix,
            lines,
            first,
            last,
            severity,
            errors,
            operation,
            *ids,
        ) = row
        if item_type is None:
            self._torn += lines
            return
        key = (run or "", step or "", step_name or "", item_type, root or "")
        times = (first.isoformat(), last.isoformat())
        level = -1 if severity is None else severity
        group = RecordGroup(*key[:4], lines, *times, level, errors, key[4], operation or "")
        self._groups[key] = _merged_groups(self._groups[key], group) if key in self._groups else group
        if prefix is not None:
            low, high, distinct = ids
            id_range, known = IdRange(prefix, low, high, lines, distinct), self._id_ranges.get(prefix)
            self._id_ranges[prefix] = _merged_ranges(known, id_range) if known else id_range

    def entry(self) -> IndexEntry:
        """Return the entry. It has no fingerprint if the file has changed, because a part of the rest may be in it."""
        digest = ""
        with contextlib.suppress(OSError):
            if self.file.path.stat().st_size == self.file.size:
                digest = fingerprint(self.file.path, self.file.size)
        groups, id_ranges = tuple(self._groups.values()), tuple(self._id_ranges.values())
        return IndexEntry(self.file.size, self.file.modified, self._torn, groups, id_ranges, digest)


def _unreadable(file: FoundFile) -> IndexEntry:
    return IndexEntry(file.size, UNREADABLE, 0, (), (), "")


def _has_long_line(file: FoundFile) -> bool:
    """Return whether DuckDB must not read the file. A line needs as much memory as it is long."""
    try:
        return has_long_line(file.path, 0, file.size)
    except OSError:
        return True


def may_have_duplicates(entries: Iterable[IndexEntry]) -> bool:
    """Return whether a record may be in these files more than once, by its id."""
    id_ranges = sorted(id_range for entry in entries for id_range in entry.id_ranges)
    is_repeated = any(id_range.records > id_range.distinct for id_range in id_ranges)
    pairs = zip(id_ranges, id_ranges[1:])
    return is_repeated or any(a.prefix == b.prefix and b.low <= a.high for a, b in pairs)


def _statement(paths: Iterable[Path]) -> str:
    """Return the SQL that reads all values of the entries in one scan."""
    identity = "b.properties->>'record_id'"
    number = f"TRY_CAST('0x' || split_part({identity}, '-', 2) AS BIGINT)"
    # For the id of another SDK: any number that distinguishes it.
    number = f"coalesce({number}, CAST(hash({identity}) >> 1 AS BIGINT))"
    return f"""
SELECT filename, run, step, name, kind, root, series, count(*), min(time), max(time), max(severity),
  count(*) FILTER (WHERE is_error), max(operation), min(number), max(number), count(DISTINCT number)
FROM (
  SELECT filename, b.properties->>'parent_run_id' AS run, b.properties->>'step_id' AS step,
    b.properties->>'step_name' AS name, b.properties->>'root_run_id' AS root, tags."ai.operation.id" AS operation,
    CASE WHEN {duckdb_views.IS_RECORD} THEN {duckdb_views.column("itemType")} END AS kind,
    split_part({identity}, '-', 1) AS series, {duckdb_views.TIME} AS time, {duckdb_views.SEVERITY} AS severity,
    {duckdb_views.column("is_error")} AS is_error, {number} AS number
  FROM (SELECT *, data.baseData AS b FROM {duckdb_views.read_lines(paths, duckdb_views.INDEX_MEMBERS)})
)
GROUP BY ALL"""


def _merged_groups(a: RecordGroup, b: RecordGroup) -> RecordGroup:
    return a._replace(
        records=a.records + b.records,
        first=min(a.first, b.first),
        last=max(a.last, b.last),
        severity=max(a.severity, b.severity),
        errors=a.errors + b.errors,
        operation_id=max(a.operation_id, b.operation_id),
    )


def _merged_ranges(a: IdRange, b: IdRange) -> IdRange:
    low, high = min(a.low, b.low), max(a.high, b.high)
    return IdRange(a.prefix, low, high, a.records + b.records, a.distinct + b.distinct)


def _joined(known: IndexEntry, tail: IndexEntry, digest: str) -> IndexEntry | None:
    """Return the entry of a file from those of its two parts.

    None if a record may be in both parts, or if the second one has no valid lines.
    """
    if tail.modified == UNREADABLE or (tail.torn and not tail.groups):
        return None
    groups = {group.key: group for group in known.groups}
    id_ranges = {id_range.prefix: id_range for id_range in known.id_ranges}
    for group in tail.groups:
        groups[group.key] = _merged_groups(groups[group.key], group) if group.key in groups else group
    for id_range in tail.id_ranges:
        before = id_ranges.get(id_range.prefix)
        if before and before.low <= id_range.high and id_range.low <= before.high:
            return None
        id_ranges[id_range.prefix] = _merged_ranges(before, id_range) if before else id_range
    torn = known.torn + tail.torn
    return IndexEntry(
        tail.size, tail.modified, torn, tuple(groups.values()), tuple(id_ranges.values()), digest
    )


def _is_appended(entry: IndexEntry | None, file: FoundFile) -> bool:
    """Return whether the file still begins with the bytes of the entry, and has more of them now."""
    return (
        entry is not None
        and entry.size < file.size
        and entry.fingerprint != ""
        and entry.fingerprint == fingerprint(file.path, entry.size)
    )


def _is_valid(entry: IndexEntry | None, file: FoundFile) -> bool:
    return entry is not None and (entry.size, entry.modified) == (file.size, file.modified)
