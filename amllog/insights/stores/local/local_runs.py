"""Know the folders of `amllog run`, so that no record is read twice.

The local Azure of a run has copies of the records that clients sent. The journal of the run has all records once, with
their steps, and `run.json` names it. So the journal is read in the place of the copies, as long as it exists.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from amllog.config import user_path
from amllog.insights.stores.local.other_formats import open_for_reading

_RUN_FILE = "run.json"
_RUNS_FOLDER = "amllog-runs"
_COPIES = ("azure", "received")
_MAX_BYTES = 16 * 1024 * 1024


def with_journals(places: Iterable[Path]) -> list[Path]:
    """Return the places, with the journals of the local runs in them that are in none of the places."""
    complete = list(places)
    for run in [run for place in complete for run in _runs_in(place)]:
        journal = _journal_of(run)
        if journal is not None and not _is_in(journal, complete):
            complete.append(journal)
    return complete


def has_journals(place: Path) -> bool:
    """Return whether journals of local runs are read in the place of what is in this folder."""
    return any(_journal_of(run) is not None for run in _runs_in(place))


def without_copies(paths: Iterable[Path], place: Path, places: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of a place, without the copies whose journal is in one of the places.

    Nothing is left out of a place that is itself in a folder of copies.
    """
    for path in paths:
        is_copy = path.parts[-3:-1] == _COPIES and _is_in(path.parents[2], [place])
        journal = _journal_of(path.parents[2]) if is_copy else None
        if journal is None or not _is_in(journal, places):
            yield path


def _runs_in(place: Path) -> Iterator[Path]:
    """Yield the folders of local runs: the place itself, those in it, and those in its folder of runs."""
    for pattern in (_RUN_FILE, f"*/{_RUN_FILE}", f"{_RUNS_FOLDER}/*/{_RUN_FILE}"):
        for file in sorted(place.glob(pattern)):
            if file.parent.joinpath(*_COPIES).is_dir():
                yield file.parent


def _journal_of(run: Path) -> Path | None:
    """Return the journal directory of a local run. None if it does not exist, or if another user names it."""
    try:
        with open_for_reading(run / _RUN_FILE) as file:
            is_ours = not hasattr(os, "geteuid") or os.fstat(file.fileno()).st_uid == os.geteuid()
            value = json.loads(file.read(_MAX_BYTES)) if is_ours else None
    except (OSError, ValueError, RecursionError):
        return None
    name = value.get("journal") if isinstance(value, dict) else None
    journal = Path(name) if isinstance(name, str) and os.path.isabs(name) else None
    return journal if journal is not None and user_path.is_directory(journal) else None


def _is_in(path: Path, places: Iterable[Path]) -> bool:
    resolved = path.resolve()
    return any(place.resolve() in (resolved, *resolved.parents) for place in places)
