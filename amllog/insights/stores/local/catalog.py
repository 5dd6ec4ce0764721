"""Select the journal files and compacted files that a query has to read.

The directories are searched again for each query, because files are added, extended, compacted and deleted at any time.
A compacted file replaces its journal files. So a record counts once, whether or not its journal file still exists.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from amllog.insights.query.query import Query
from amllog.insights.query.reading import Reading
from amllog.insights.stores.local import discovery, ownership
from amllog.insights.stores.local.discovery import FoundFile, is_below
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.index import Index, may_have_duplicates
from amllog.insights.stores.local.index_entries import UNREADABLE, IndexEntry, RecordGroup
from amllog.insights.stores.local.leftovers import Leftovers
from amllog.insights.stores.local.long_lines import has_unfinished_line, reason
from amllog.insights.stores.local.manifest import Batch, is_whole_parquet, manifest_problem, read_batches
from amllog.insights.stores.local.pruning import counts_torn, is_of_run, is_selected, may_match


class Selection(NamedTuple):
    """The files to read for one query, and the data of the index about them.

    `deduplicate`: a record may be in two of the files. `torn`: unfinished lines. `damaged`: other lines that could not
    be read, by file. `groups`: the groups of records that the query is about. `unread`: sentences about files that are
    not read. `harmless`: those about files without records of a question. `ranks`: of the owners of the files.
    """

    journals: list[Path]
    compacted: list[Path]
    deduplicate: bool
    torn: int
    damaged: dict[Path, int]
    groups: list[RecordGroup]
    unread: list[str]
    harmless: list[str]
    ranks: dict[Path, int]
    reading: Reading

    @property
    def has_several_owners(self) -> bool:
        """Return whether the files have owners of different ranks. Then a record may be a forged copy of another."""
        return len({*self.ranks.values()}) > 1

    @property
    def foreign(self) -> list[Path]:
        """The files of other users."""
        return [path for path, rank in self.ranks.items() if rank == ownership.FOREIGN]


@dataclass
class _Search:
    """The state of one selection: journal files by path, and the compacted files selected so far."""

    query: Query | None
    now: datetime
    journals: dict[Path, FoundFile]
    notes: list[str]
    compacted: list[Path] = field(default_factory=list)
    entries: list[IndexEntry] = field(default_factory=list)
    ranks: dict[Path, int] = field(default_factory=dict)
    torn: int = 0
    damaged: dict[Path, int] = field(default_factory=dict)

    def add_batch(self, folder: Path, directory_owner: int, batch: Batch) -> None:
        """Select the Parquet files of a batch, and drop the journal files that they replace."""
        sources = [self.journals.get(folder.parent / source.name) for source in batch.sources]
        if _must_read_sources(batch, sources):
            return
        ranks = _ranks([folder / name for name in batch.outputs], directory_owner, self.notes)
        outputs = {folder / name: run for name, run in batch.outputs.items() if folder / name in ranks}
        if outputs and len(outputs) == len(batch.outputs) and all(map(is_whole_parquet, outputs)):
            for source, file in zip(batch.sources, sources):
                # A file of another user never replaces one of this user. A journal file that has grown is read
                # itself, and its former records count once.
                if file is None or (file.size == source.entry.size and max(ranks.values()) <= file.rank):
                    self.journals.pop(folder.parent / source.name, None)
                    if source.entry.torn and counts_torn(source.entry, self.query, self.now):
                        self.add_invalid_lines(folder.parent / source.name, source.entry.torn)
        entries = [source.entry for source in batch.sources]
        if any(is_selected(entry, self.query, self.now) for entry in entries):
            self.entries += entries
            self.notes += self._missing_outputs(folder, batch, sources)
            self.ranks.update(ranks)
            self.compacted += [
                path for path, run in outputs.items() if is_whole_parquet(path) and is_of_run(run, self.query)
            ]

    def add_invalid_lines(self, path: Path, lines: int, *, may_end_unfinished: bool = True) -> None:
        """Count the lines of a file that could not be read: its unfinished last line, and damaged ones."""
        unfinished = int(may_end_unfinished and has_unfinished_line(path))
        self.torn += unfinished
        if lines > unfinished:
            self.damaged[path] = lines - unfinished

    def _missing_outputs(self, folder: Path, batch: Batch, sources: Sequence[FoundFile | None]) -> list[str]:
        """Return notes on missing or damaged Parquet files, unless all journal files of the batch exist."""
        if all(file and file.size >= source.entry.size for source, file in zip(batch.sources, sources)):
            return []
        groups = (group for source in batch.sources for group in source.entry.groups)
        runs = {
            group.parent_run_id
            for group in groups
            if self.query is None or may_match(group, self.query, self.now)
        }
        paths = (folder / name for name, run in batch.outputs.items() if run in runs)
        return [
            f"{path}: is missing, or no whole Parquet file" for path in paths if not is_whole_parquet(path)
        ]


class Catalog:
    """All journal files and compacted files in and below the given places."""

    def __init__(self, places: Sequence[Path], engine: Engine) -> None:
        self.places = tuple(places)
        self._index = Index(engine)

    def select(self, query: Query | None, now: datetime) -> Selection:
        """Return the files that the query has to read, or all files for None."""
        leftovers = Leftovers()
        journals = {file.path: file for file in discovery.find_files(self.places, leftovers=leftovers)}
        sources = {path: file.source or path for path, file in journals.items()}
        self._index.remove_abandoned(path.parent for path in journals)
        owners = discovery.find_compacted_folders(self.places)
        batches = {folder: read_batches(folder) for folder in owners}
        ranks = {path: file.rank for path, file in journals.items()}
        search = _Search(query, now, journals, leftovers.unread, ranks=ranks)
        for folder, folder_batches in batches.items():
            for batch in folder_batches:
                search.add_batch(folder, owners[folder], batch)
        entries = self._index.entries(list(search.journals.values()))
        selected = [
            path
            for path, entry in entries.items()
            if entry.modified != UNREADABLE and is_selected(entry, query, now)
        ]
        selected_entries = search.entries + [entries[path] for path in selected]
        for path, entry in entries.items():
            source = sources[path]  # the file of another format that `path` was converted from
            if entry.torn and self._counts_torn(source, entry, query, now):
                search.add_invalid_lines(source, entry.torn, may_end_unfinished=source == path)
        groups = [
            group
            for entry in selected_entries
            for group in entry.groups
            if query is None or may_match(group, query, now)
        ]
        unreadable = (path for path, entry in entries.items() if entry.modified == UNREADABLE)
        problems = (manifest_problem(folder) for folder, whole in batches.items() if not whole)
        indexes = self._foreign_indexes()
        unread = [*search.notes, *indexes, *filter(None, problems)]
        unread += [f"{sources[path]}: {reason(path)}" for path in unreadable if os.path.exists(path)]
        if any(_are_replaced(folder, folder_batches) for folder, folder_batches in batches.items()):
            return self.select(query, now)
        ranks = {path: search.ranks[path] for path in (*selected, *search.compacted)}
        # An index or a manifest of another user proves nothing about the records.
        deduplicate = len({*ranks.values()}) > 1 or may_have_duplicates(selected_entries)
        with_records = [sources[path] for path, entry in entries.items() if entry.groups]
        reading = self._reading(
            [*with_records, *(folder for folder in batches if batches[folder])], leftovers
        )
        harmless = [*leftovers.left_out, *indexes]
        lines = search.torn, search.damaged
        return Selection(
            selected, search.compacted, deduplicate, *lines, groups, unread, harmless, ranks, reading
        )

    def _reading(self, with_records: Sequence[Path], leftovers: Leftovers) -> Reading:
        """Return whether any of these files and folders has records, and the places without any."""
        empty = [place for place in self.places if not any(is_below(path, place) for path in with_records)]
        ignored = () if with_records else leftovers.describe_ignored()
        return Reading(bool(with_records), ignored=ignored, empty_places=tuple(map(str, empty)))

    def _counts_torn(self, path: Path, entry: IndexEntry, query: Query | None, now: datetime) -> bool:
        """Return whether to count the torn lines of a file. A file of other programs may have no records at all."""
        return counts_torn(entry, query, now) if entry.groups else discovery.is_reportable(path, self.places)

    def _foreign_indexes(self) -> list[str]:
        """Return notes on files at the path of an index that amllog did not write."""
        return [
            f"{path}: was not written by this version of amllog, and stays" for path in self._index.foreign
        ]


def _ranks(outputs: Iterable[Path], directory_owner: int, notes: list[str]) -> dict[Path, int]:
    """Return the ranks of the compacted files that exist, without those that other users can write to."""
    ranks: dict[Path, int] = {}
    for path in outputs:
        with contextlib.suppress(OSError):
            rank = ownership.compacted_file_rank(path, directory_owner)
            if rank == ownership.FOREIGN and ownership.is_world_writable(os.lstat(path)):
                notes.append(f"{path}: belongs to another user, and everybody can write to it")
            else:
                ranks[path] = rank
    return ranks


def _are_replaced(folder: Path, batches: list[Batch]) -> bool:
    """Return whether a compaction has replaced batches and deleted their files."""
    return not all(batch.is_complete(folder) for batch in batches) and read_batches(folder) != batches


def _must_read_sources(batch: Batch, sources: Sequence[FoundFile | None]) -> bool:
    """Return whether to read the journal files and not the batch.

    True if all of them exist and one has grown whose records have no ids. Without ids, its old records could not be
    distinguished from its new ones.
    """
    pairs = list(zip(sources, (source.entry for source in batch.sources)))
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
    return sum(ids.records for ids in entry.id_ranges) == sum(group.records for group in entry.groups)
