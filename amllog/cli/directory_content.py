"""Describe why the records of a directory need no delivery."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amllog.insights.reports.rendering import pluralize
from amllog.insights.reports.undelivered import RECEIVED_FOLDER
from amllog.insights.stores.local import discovery
from amllog.insights.stores.local.leftovers import Leftovers
from amllog.insights.stores.local.manifest import read_batches

MAX_LISTED = 10  # directories with journals
_OF_EXPORTERS = frozenset(
    {".blob", ".lock", ".trn"}
)  # suffixes of files that other SDKs keep until they send them


def explain(directory: Path, details: Mapping[str, Any]) -> list[str]:
    """Return sentences about the directory of `amllog status`. `details`: its report. [] if records wait."""
    if details["waiting"] or details["refused"] or details["unaddressed"]:
        return []
    compacted = _compacted(directory)
    if details["files"]:
        if any(outlet["delivered"] for outlet in details["outlets"].values()):
            return ["no record waits: all that an outlet takes were delivered", *compacted]
        return ["no outlet takes these records, so there is nothing to deliver", *compacted]
    if directory.name == RECEIVED_FOLDER or (directory / RECEIVED_FOLDER).is_dir():
        return ["`amllog serve` received the records here: there is nothing to deliver"]
    sentences = compacted + _other_files(directory)
    return sentences or ([] if details["notes"] else [f"there is no journal in {directory}"])


def _compacted(directory: Path) -> list[str]:
    """Return a sentence about compacted runs whose journal files are deleted."""
    records = sum(
        group.records
        for batch in read_batches(directory / discovery.COMPACTED_FOLDER)
        for source in batch.sources
        if not (directory / source.name).exists()
        for group in source.entry.groups
    )
    if not records:
        return []
    count = pluralize(records, "record")
    return [
        f"{count} of compacted runs, in Parquet: their journal files are deleted, so nothing can be delivered"
    ]


def _other_files(directory: Path) -> list[str]:
    """Return sentences about journals in folders below, and about files of other programs."""
    leftovers = Leftovers()
    files = discovery.find_files([directory], convert=False, leftovers=leftovers)
    # In the directory itself, a file with the name of a journal is not one of amllog, which `status` has counted.
    below = [file.path for file in files if file.path.parent != directory]
    journals = [path for path in below if discovery.JOURNAL_NAME.fullmatch(path.name)]
    folders = sorted({str(path.parent) for path in journals if path.parent.name != RECEIVED_FOLDER})
    others = [file.path for file in files if file.path not in journals]
    others += [path for path in leftovers.ignored if path.suffix in _OF_EXPORTERS]
    sentences = [
        f"journals are below: amllog status {shlex.quote(folder)}" for folder in folders[:MAX_LISTED]
    ]
    if len(folders) > MAX_LISTED:
        sentences.append(f"and in {len(folders) - MAX_LISTED} more folders")
    if others:
        command = f"amllog logs all --dir {shlex.quote(str(directory))}"
        count = pluralize(len(others), "file")
        sentences.append(f"{count} of other programs, which amllog does not deliver: {command} reads them")
    return [*sentences, *(f"not read: {sentence}" for sentence in leftovers.unread)]
