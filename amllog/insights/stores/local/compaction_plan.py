"""Which journal files are compacted together, and which batches of before are replaced by that.

In: the batches that there are, entries of files that are new or have changed. Out: `Work` values: what to read, what it
replaces, what it will stand for. Of a journal that has grown only what was added is read; the rest is in the old batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.insights.stores.local import discovery
from amllog.insights.stores.local.index_entries import IndexEntry
from amllog.insights.stores.local.manifest import Batch

BATCH_BYTES = 128 * 1024 * 1024


class BatchPlan(NamedTuple):
    """One batch to be written: `lines` to read and batches to be `replaced`, and the `sources` that it will stand for,
    by name. `size`: bytes of the journal files that are compacted by it."""

    lines: list[Path]
    replaced: list[Batch]
    sources: dict[str, IndexEntry]
    size: int


def plan_batches(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path, scratch: Path
) -> list[BatchPlan]:
    """Everything to do for the entries (by the names of their files below the directory): first what replaces older
    batches. What was added to files is copied into `scratch`."""
    return [*_renewals(batches, entries, directory, scratch), *_fresh(batches, entries, directory)]


def _renewals(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path, scratch: Path
) -> Iterator[BatchPlan]:
    """The batches of files that have changed since, to be written anew from what they hold and what was added."""
    for number, (names, joined) in enumerate(_groups(batches)):
        changed = {name: entry for name, entry in entries.items() if name in names}
        if changed:
            known = {one.name: one.entry for batch in joined for one in batch.sources}
            stand = all(batch.is_complete(directory / discovery.COMPACTED_FOLDER) for batch in joined)
            lines = [
                _added(directory / name, known[name], entry, scratch / f"{number}-{place}.jsonl")
                if stand
                else directory / name
                for place, (name, entry) in enumerate(changed.items())
            ]
            yield BatchPlan(
                lines, joined, {**known, **changed}, sum(entry.size for entry in changed.values())
            )


def _groups(batches: Sequence[Batch]) -> list[tuple[set[str], list[Batch]]]:
    """Groups of batches that share a source, directly or through others, with the names of all their sources."""
    group_of: dict[str, tuple[set[str], list[Batch]]] = {}
    for batch in batches:
        names = {one.name for one in batch.sources}
        met = {id(group): group for name in names if (group := group_of.get(name))}
        largest = max(met.values(), key=lambda group: len(group[0]), default=(set(), []))
        for group in met.values():
            if group is not largest:  # the smaller ones move, so that many batches take little time
                names |= group[0]
                largest[1].extend(group[1])
        largest[1].append(batch)
        largest[0].update(names)
        group_of.update(dict.fromkeys(names, largest))
    return [*{id(group): group for group in group_of.values()}.values()]


def _added(path: Path, known: IndexEntry, entry: IndexEntry, target: Path) -> Path:
    """A file with what was added to a journal; all of it where it does not begin as it did, or with a whole line."""
    if not (
        known.size < entry.size
        and known.fingerprint
        and known.fingerprint == discovery.fingerprint(path, known.size)
    ):
        return path
    discovery.copy_from(discovery.FoundFile(path, entry.size, entry.modified), known.size, target)
    return target


def _fresh(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path
) -> Iterator[BatchPlan]:
    """Files that are in no batch, those of one run together, as many as DuckDB sorts in memory."""
    known = {one.name for batch in batches for one in batch.sources}
    fresh: dict[str, IndexEntry] = {}
    size = 0
    for name in sorted(entries.keys() - known, key=lambda one: (entries[one].groups[0].parent_run_id, one)):
        if fresh and size + entries[name].size > BATCH_BYTES:
            yield BatchPlan([directory / one for one in fresh], [], fresh, size)
            fresh, size = {}, 0
        fresh[name] = entries[name]
        size += entries[name].size
    if fresh:
        yield BatchPlan([directory / one for one in fresh], [], fresh, size)
