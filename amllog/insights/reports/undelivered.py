"""Report from the journal files of a run whether its process still runs, and which records are not delivered.

Reads at most `MAX_LINES` pending lines, so that `story` stays fast.
"""

from __future__ import annotations

import platform
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from amllog.insights.reports import rendering
from amllog.insights.stores.local import discovery
from amllog.journal.directory import open_read_only
from amllog.journal.lock import file_node
from amllog.journal.outlets import ADDRESSED
from amllog.journal.segment import Segment

MAX_LINES = 20_000  # over all files
UNKNOWN_STATE = "it was killed, or is still running"  # without a journal of this machine
KILLED = "it was killed (no process on this machine writes its journal)"
MAX_NODES = 3  # in a sentence
_NAME = re.compile(r"\d{8}T\d{6}-(?P<node>.+)-\d+-[0-9a-f]+\.jsonl")  # of a journal, also if it was renamed
RECEIVED_FOLDER = "received"  # where `amllog.local` keeps the envelopes that it received


def describe_writer(paths: Iterable[Path]) -> str:
    """Return a clause about the process that wrote these files: that it is running, that it was killed, or neither.

    A free lock proves that the process was killed only on the machine of the process, which is in the file's name. A
    journal that was downloaded, or that a file system shares without its locks, proves nothing.
    """
    journals = _journals(paths)
    states = [discovery.has_writer(path) for path in journals]
    if any(states):
        return "it is still running (a process on this machine writes its journal)"
    nodes = dict.fromkeys(match["node"] for path in journals if (match := _NAME.fullmatch(path.name)))
    elsewhere = [node for node in nodes if node != file_node(platform.node())]
    if elsewhere:
        return f"{UNKNOWN_STATE} on node {', '.join(elsewhere[:MAX_NODES])}"
    return KILLED if nodes and None not in states else UNKNOWN_STATE


def describe_undelivered(paths: Iterable[Path]) -> list[str]:
    """Return a sentence per directory and outlet about pending records, and one per reason about refused records."""
    by_directory: dict[Path, list[Path]] = {}
    for path in _journals(paths):
        by_directory.setdefault(path.parent, []).append(path)
    sentences, remaining = [], MAX_LINES
    for directory, files in by_directory.items():
        waiting: Counter[str] = Counter()
        refused: Counter[tuple[str, str]] = Counter()
        for segment in filter(None, map(open_read_only, files)):
            remaining = _count(segment, remaining, waiting, refused)
            segment.close()
        bound = "at least " if remaining <= 0 else ""
        if waiting:
            counts = " and ".join(
                f"{rendering.pluralize(count, 'record')} for {name}" for name, count in waiting.items()
            )
            sentences.append(
                f"not sent yet: {bound}{counts}, in {directory} (amllog deliver {shlex.quote(str(directory))})"
            )
        sentences += [
            f"refused by {name}: {rendering.pluralize(count, 'record')}: {reason}"
            for (name, reason), count in sorted(refused.items())
        ]
    return sentences


def _journals(paths: Iterable[Path]) -> list[Path]:
    """Return the files that processes of amllog write, without those of other SDKs and of `amllog.local`."""
    return [
        path
        for path in paths
        if discovery.JOURNAL_NAME.fullmatch(path.name) and path.parent.name != RECEIVED_FOLDER
    ]


def _count(segment: Segment, limit: int, waiting: Counter[str], refused: Counter[tuple[str, str]]) -> int:
    """Add the counts of one file, and return how many more lines may be read."""
    for name, is_addressed in ADDRESSED.items():
        position = segment.position(name)
        refused.update({(name, reason): count for reason, count in position.refused.items()})
        lines = list(islice(segment.lines_from(position.offset), max(0, limit)))
        waiting[name] += sum(map(is_addressed, lines))
        waiting[name] += len(position.retry)
        limit -= len(lines)
    for name in [name for name, count in waiting.items() if not count]:
        del waiting[name]
    return limit
