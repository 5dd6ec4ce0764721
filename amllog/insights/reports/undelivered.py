"""What of a run is in its journal files only: whether a process still writes them, and what has not arrived.

In: journal files. Out: sentences. Of what waits at most so many lines are looked at: a story does not take long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from amllog.insights.reports import rendering
from amllog.insights.stores.local import discovery
from amllog.journal.directory import open_read_only
from amllog.journal.outlets import ADDRESSED
from amllog.journal.segment import Segment

MAX_LINES = 20_000  # lines that may wait, over all files
UNKNOWN_STATE = "it was killed, or is still running"  # where there is no journal of its own to look at
RECEIVED_FOLDER = "received"  # the folder in which `amllog.local` keeps what it was sent


def describe_writer(paths: Iterable[Path]) -> str:
    """What became of the process that wrote these files, as far as it can be seen from here."""
    journals = _journals(paths)
    if not journals:
        return UNKNOWN_STATE
    if any(map(discovery.has_writer, journals)):
        return "it is still running (a process on this machine writes its journal)"
    return "it was killed (no process on this machine writes its journal any more)"


def describe_undelivered(paths: Iterable[Path]) -> list[str]:
    """What waits in these files, and what was refused: a sentence for each directory and outlet."""
    by_directory: dict[Path, list[Path]] = {}
    for path in _journals(paths):
        by_directory.setdefault(path.parent, []).append(path)
    found, left = [], MAX_LINES
    for directory, own in by_directory.items():
        waiting: Counter[str] = Counter()
        refused: Counter[tuple[str, str]] = Counter()
        for segment in filter(None, map(open_read_only, own)):
            left = _count(segment, left, waiting, refused)
            segment.close()
        least = "at least " if left <= 0 else ""
        if waiting:
            counts = " and ".join(
                f"{rendering.pluralize(count, 'record')} for {name}" for name, count in waiting.items()
            )
            found.append(f"not sent yet: {least}{counts}, in {directory} (amllog deliver {directory})")
        found += [
            f"refused by {name}: {rendering.pluralize(count, 'record')}: {reason}"
            for (name, reason), count in sorted(refused.items())
        ]
    return found


def _journals(paths: Iterable[Path]) -> list[Path]:
    """Those that a process of amllog writes: not other SDKs' files, nor what has arrived at `amllog.local`."""
    return [
        path
        for path in paths
        if discovery.JOURNAL_NAME.fullmatch(path.name) and path.parent.name != RECEIVED_FOLDER
    ]


def _count(segment: Segment, left: int, waiting: Counter[str], refused: Counter[tuple[str, str]]) -> int:
    """Add what one file has; returns how many lines may still be looked at."""
    for name, wants in ADDRESSED.items():
        progress = segment.position(name)
        refused.update({(name, reason): count for reason, count in progress.refused.items()})
        lines = list(islice(segment.lines_from(progress.offset), max(0, left)))
        waiting[name] += sum(map(wants, lines))
        waiting[name] += len(progress.retry)
        left -= len(lines)
    for name in [name for name, count in waiting.items() if not count]:
        del waiting[name]
    return left
