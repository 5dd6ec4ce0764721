"""Plan which journal files to compact together, and which batches they replace.

Only the bytes appended to a journal since its last compaction are read. The older records come from the Parquet files
of its batch. So a batch with a changed journal is written again, together with all batches that share a source with it.
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
    """A batch to write: the files with lines to read, the batches that it replaces, and its sources by name.

    `source_bytes`: the size of the journal files that are compacted.
    """

    inputs: list[Path]
    replaced: list[Batch]
    sources: dict[str, IndexEntry]
    source_bytes: int


def plan_batches(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path, scratch: Path
) -> list[BatchPlan]:
    """Return the batches to write for journal files that are new or have changed, replacements first.

    `entries`: by file name relative to `directory`. Appended bytes are copied into the directory `scratch`.
    """
    return [*_replacements(batches, entries, directory, scratch), *_new_batches(batches, entries, directory)]


def _replacements(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path, scratch: Path
) -> Iterator[BatchPlan]:
    """Yield a plan for each group of batches with a changed source."""
    for number, (names, replaced) in enumerate(_groups(batches)):
        changed = {name: entry for name, entry in entries.items() if name in names}
        if changed:
            known = {source.name: source.entry for batch in replaced for source in batch.sources}
            are_complete = all(
                batch.is_complete(directory / discovery.COMPACTED_FOLDER) for batch in replaced
            )
            inputs = [
                _appended_lines(directory / name, known[name], entry, scratch / f"{number}-{index}.jsonl")
                if are_complete
                else directory / name
                for index, (name, entry) in enumerate(changed.items())
            ]
            source_bytes = sum(entry.size for entry in changed.values())
            yield BatchPlan(inputs, replaced, {**known, **changed}, source_bytes)


def _groups(batches: Sequence[Batch]) -> list[tuple[set[str], list[Batch]]]:
    """Return groups of batches that share a source, directly or indirectly, with the names of all their sources."""
    group_of: dict[str, tuple[set[str], list[Batch]]] = {}
    for batch in batches:
        names = {source.name for source in batch.sources}
        shared = {id(group): group for name in names if (group := group_of.get(name))}
        largest = max(shared.values(), key=lambda group: len(group[0]), default=(set(), []))
        for group in shared.values():
            # The smaller groups are merged into the largest one, so that many batches take little time.
            if group is not largest:
                names |= group[0]
                largest[1].extend(group[1])
        largest[1].append(batch)
        largest[0].update(names)
        group_of.update(dict.fromkeys(names, largest))
    return [*{id(group): group for group in group_of.values()}.values()]


def _appended_lines(path: Path, known: IndexEntry, entry: IndexEntry, target: Path) -> Path:
    """Return a file with the bytes appended to a journal, or the journal if its former content has changed."""
    is_unchanged = known.fingerprint and known.fingerprint == discovery.fingerprint(path, known.size)
    if not (known.size < entry.size and is_unchanged):
        return path
    discovery.copy_from(discovery.FoundFile(path, entry.size, entry.modified), known.size, target)
    return target


def _new_batches(
    batches: Sequence[Batch], entries: Mapping[str, IndexEntry], directory: Path
) -> Iterator[BatchPlan]:
    """Yield plans for files that are in no batch, sorted by run, each as large as DuckDB can sort in memory."""
    known = {source.name for batch in batches for source in batch.sources}
    sources: dict[str, IndexEntry] = {}
    size = 0
    for name in sorted(
        entries.keys() - known, key=lambda name: (entries[name].groups[0].parent_run_id, name)
    ):
        if sources and size + entries[name].size > BATCH_BYTES:
            yield BatchPlan([directory / name for name in sources], [], sources, size)
            sources, size = {}, 0
        sources[name] = entries[name]
        size += entries[name].size
    if sources:
        yield BatchPlan([directory / name for name in sources], [], sources, size)
