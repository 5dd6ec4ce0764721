"""What the local store has: journal files and compacted ones, and which of them a question is about.

In: directories; a query. Out: a `Selection`: the files to read, what must be said about them, whether some record may
stand in them twice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from amllog.insights.query.columns import ALL_TABLES
from amllog.insights.query.query import AtLeast, Equals, Holds, Query
from amllog.insights.query.sql import naive_utc
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.local import discovery, ownership
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index import Index, may_have_duplicates
from amllog.insights.stores.local.index_entries import UNREADABLE, IndexEntry, RecordGroup
from amllog.insights.stores.local.manifest import Batch, is_whole_parquet, manifest_problem

# Conditions on these hold for all lines of a process, or for none.
_IDS = {"parent_run_id", "step_id", "step_name"}


class Selection(NamedTuple):
    """What to read for one question."""

    journals: list[Path]
    compacted: list[Path]
    deduplicate: bool
    torn: int
    groups: list[RecordGroup]
    unread: list[Path | str]
    ranks: dict[Path, int]  # whose each file is

    @property
    def is_mixed(self) -> bool:
        """Whether some files are of another user than others: then a record may be a forged copy of another."""
        return len({*self.ranks.values()}) > 1

    @property
    def foreign(self) -> list[Path]:
        """The files of other users."""
        return [path for path, rank in self.ranks.items() if rank == ownership.FOREIGN]


class Catalog:
    """Everything below the places, looked at anew for each question."""

    def __init__(self, places: Sequence[Path], engine: Engine) -> None:
        self.places = tuple(places)
        self._index = Index(engine)

    def select(self, query: Query | None, now: datetime) -> Selection:
        """What the query is about; everything for None."""
        left: list[str] = []
        found = {file.path: file for file in discovery.find_files(self.places, skipped=left)}
        self._index.remove_abandoned(path.parent for path in found)
        chosen: list[Path] = []
        held: list[IndexEntry] = []
        torn = 0
        owners = discovery.find_compacted_folders(self.places)
        batches = {folder: Batch.read(folder) for folder in owners}
        ranks = {path: file.rank for path, file in found.items()}
        for folder, own in batches.items():
            for batch in own:
                outputs = {folder / name: run for name, run in batch.outputs.items()}
                there = [found.get(folder.parent / one.name) for one in batch.sources]
                if _is_in_journals(batch, there):
                    continue
                whose = _ranks(outputs, owners[folder], left)
                outputs = {path: run for path, run in outputs.items() if path in whose}
                if outputs and len(outputs) == len(batch.outputs) and all(map(is_whole_parquet, outputs)):
                    for one, file in zip(batch.sources, there):
                        # A file of another user stands for none of this user's.
                        if _is_same(file, one.entry) and (file is None or max(whose.values()) <= file.rank):
                            found.pop(folder.parent / one.name, None)
                            torn += one.entry.torn * _tells_torn(one.entry, query, now)
                # A source that has grown since is read itself, and what it had before counts once.
                entries = [one.entry for one in batch.sources]
                if any(_about(entry, query, now) for entry in entries):
                    held += entries
                    left += _lost(folder, batch, there, query, now)
                    ranks.update(whose)
                    chosen += [
                        path
                        for path, run in outputs.items()
                        if is_whole_parquet(path) and _of_run(run, query)
                    ]
        entries_of = self._index.entries(list(found.values()))
        journals = [
            path
            for path, entry in entries_of.items()
            if entry.modified != UNREADABLE and _about(entry, query, now)
        ]
        held += [entries_of[path] for path in journals]
        torn += sum(entry.torn for path, entry in entries_of.items() if self._tells(path, entry, query, now))
        groups = [
            part for entry in held for part in entry.groups if query is None or _asked(part, query, now)
        ]
        closed = (path for path, entry in entries_of.items() if entry.modified == UNREADABLE)
        unread: list[Path | str] = [*left, *self._foreign(batches), *filter(os.path.exists, closed)]
        if any(_are_replaced(folder, own) for folder, own in batches.items()):
            return self.select(query, now)
        ranks = {path: ranks[path] for path in (*journals, *chosen)}
        # An index or a manifest of another user proves nothing about the records.
        deduplicate = len({*ranks.values()}) > 1 or may_have_duplicates(held)
        return Selection(journals, chosen, deduplicate, torn, groups, unread, ranks)

    def _tells(self, path: Path, entry: IndexEntry, query: Query | None, now: datetime) -> bool:
        """Whether the torn lines of a file concern the question. A file of others, with no record in it, has none."""
        return _tells_torn(entry, query, now) if entry.groups else discovery.is_reportable(path, self.places)

    def _foreign(self, batches: Mapping[Path, list[Batch]]) -> list[str]:
        """Notes on files in the place of an index or a manifest that amllog has not written, or which are missing."""
        others = [
            f"{path}: was not written by this version of amllog, and stays" for path in self._index.foreign
        ]
        return [
            *others,
            *filter(None, (manifest_problem(folder) for folder, own in batches.items() if not own)),
        ]


def _ranks(outputs: Iterable[Path], owner: int, left_out: list[str]) -> dict[Path, int]:
    """Whose each compacted file is, without those that are gone and those of others that everybody can write to."""
    found: dict[Path, int] = {}
    for path in outputs:
        with contextlib.suppress(OSError):
            rank = ownership.compacted_file_rank(path, owner)
            if rank == ownership.FOREIGN and ownership.is_world_writable(os.lstat(path)):
                left_out.append(f"{path}: belongs to another user, and everybody can write to it")
            else:
                found[path] = rank
    return found


def _lost(
    folder: Path,
    batch: Batch,
    there: Sequence[discovery.FoundFile | None],
    query: Query | None,
    now: datetime,
) -> list[str]:
    """Return notes on compacted files that are missing or damaged. None if the journal files are still there."""
    if all(file and file.size >= one.entry.size for one, file in zip(batch.sources, there)):
        return []
    groups = (part for one in batch.sources for part in one.entry.groups)
    runs = {part.parent_run_id for part in groups if query is None or _asked(part, query, now)}
    asked = (folder / name for name, run in batch.outputs.items() if run in runs)
    return [f"{path}: is missing, or no whole Parquet file" for path in asked if not is_whole_parquet(path)]


def _are_replaced(folder: Path, batches: list[Batch]) -> bool:
    """Whether a compaction has put others in the place of some of them, whose files are gone."""
    return not all(batch.is_complete(folder) for batch in batches) and Batch.read(folder) != batches


def _tells_torn(entry: IndexEntry, query: Query | None, now: datetime) -> bool:
    """Whether the torn lines of a file with records concern the question.

    Nobody knows which kind and level a torn line had: `errors` concerns it wherever other records of its run do.
    """
    if query is not None:
        ids = (one for one in query.conditions if isinstance(one, Equals) and {*one.columns} <= _IDS)
        query = replace(query, tables=ALL_TABLES, conditions=tuple(ids))
    return _about(entry, query, now)


def _is_in_journals(batch: Batch, there: Sequence[discovery.FoundFile | None]) -> bool:
    """Whether its journal files are all there, and some has grown whose records have no ids to tell what is new."""
    pairs = list(zip(there, (one.entry for one in batch.sources)))
    grown = [(file, entry) for file, entry in pairs if file is not None and file.size > entry.size]
    return (
        not all(_has_ids(entry) for _file, entry in grown)
        and all(file is not None and file.size >= entry.size for file, entry in pairs)
        and all(
            entry.fingerprint and entry.fingerprint == discovery.fingerprint(file.path, entry.size)
            for file, entry in grown
        )
    )


def _has_ids(entry: IndexEntry) -> bool:
    return sum(one.records for one in entry.id_ranges) == sum(part.records for part in entry.groups)


def _is_same(file: discovery.FoundFile | None, entry: IndexEntry) -> bool:
    return file is None or file.size == entry.size


def _about(entry: IndexEntry, query: Query | None, now: datetime) -> bool:
    return query is None or any(_asked(part, query, now) for part in entry.groups)


def _of_run(run: str, query: Query | None) -> bool:
    """Whether a compacted file of this run may have what the query asks for."""
    tests = [one for one in (query.conditions if query else ()) if isinstance(one, Equals)]
    return all(one.columns != ("parent_run_id",) or (run in one.values) != one.negated for one in tests)


def _asked(part: RecordGroup, query: Query, now: datetime) -> bool:
    """Whether a query may be about records of this part: never false where one is."""
    if part.item_type not in {TABLES[table].item_type for table in query.tables}:
        return False
    since = now - query.since if isinstance(query.since, timedelta) else query.since
    if since is not None and datetime.fromisoformat(part.last) < naive_utc(since):
        return False
    if query.until is not None and datetime.fromisoformat(part.first) >= naive_utc(query.until):
        return False
    return all(_passes(part, condition) for condition in query.conditions)


def _passes(part: RecordGroup, condition: object) -> bool:
    if isinstance(condition, Equals) and {*condition.columns} <= _IDS:
        return any(
            (getattr(part, str(one)) in condition.values) != condition.negated for one in condition.columns
        )
    if isinstance(condition, Holds) and condition.column == "is_error":
        return part.errors > 0
    if isinstance(condition, AtLeast):
        return part.severity >= condition.severity or part.severity < 0 or part.item_type == "exception"
    return True
