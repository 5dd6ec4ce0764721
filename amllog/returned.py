"""Records that come back: a QueueHandler's listener, a MemoryHandler or a log server hands them to a logger again.

In: stdlib records. Out: whether amllog has recorded the line already, in this process or in another one of the run.

Nothing is written to the record: an attribute would appear in the output of every formatter that prints unknown
attributes (docs/decisions/0030-records-that-come-back.md).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

MAX_CARRIED = 50_000  # records that may be on their way back; twice as many are remembered at most
_CLOCK_SECONDS = 0.05  # how far the clock of a file system may be behind the process's
# Handlers of the standard library that a record ends at.
_ENDS = frozenset(
    (
        "StreamHandler",
        "_StderrHandler",
        "FileHandler",
        "NullHandler",
        "RotatingFileHandler",
        "TimedRotatingFileHandler",
        "WatchedFileHandler",
    )
)
_FILE = re.compile(r"\d{8}T\d{6}-.*-(\d+)-[0-9a-f]+\.jsonl")


def is_carrier(handler: logging.Handler) -> bool:
    """Return whether records may come back from this handler, as from a queue or a socket."""
    kind = type(handler)
    return kind.__name__ not in _ENDS or kind.__module__ not in ("logging", "logging.handlers")


class Carried:
    """Recorded records that other handlers may bring back. Threads need no lock: each step is one operation."""

    def __init__(self) -> None:
        self.recent: dict[object, None] = {}
        self._old: dict[object, None] = {}

    def add(self, entry: logging.LogRecord) -> None:
        """Remember a record."""
        if len(self.recent) >= MAX_CARRIED:
            self._old, self.recent = self.recent, {}
        self.recent[_key(entry)] = None

    def __contains__(self, entry: logging.LogRecord) -> bool:
        key = _key(entry)
        return key in self.recent or key in self._old


def _key(entry: logging.LogRecord) -> object:
    """What a copy has in common with its original: not its message, which a QueueHandler formats."""
    return entry.created, entry.thread, entry.lineno


class OtherJournals:
    """The journals that other processes keep in our directory."""

    def __init__(self) -> None:
        self._scanned: dict[Path, int] = {}  # directories, and their modification time at the last scan
        self._files: dict[tuple[Path, int], list[str]] = {}  # by directory and process

    def have(self, directory: Path, entry: Any) -> bool:
        """Return whether the record's process has written to a journal since it made the record.

        amllog takes a record before other handlers send it, so the journal is there when the record arrives.
        """
        key = directory, entry.process
        return self._written_since(key, entry.created) or (
            self._scan(directory) and self._written_since(key, entry.created)
        )

    def _written_since(self, key: tuple[Path, int], created: float) -> bool:
        for name in self._files.get(key, ()):
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(key[0], name)).st_mtime >= created - _CLOCK_SECONDS:
                    return True
        return False

    def _scan(self, directory: Path) -> bool:
        """List the directory if it has changed; return whether it was listed."""
        try:
            changed = os.stat(directory).st_mtime_ns
            if self._scanned.get(directory) == changed:
                return False
            names = os.listdir(directory)
        except OSError:
            return False
        found: dict[tuple[Path, int], list[str]] = {}
        for match in filter(None, map(_FILE.fullmatch, names)):
            found.setdefault((directory, int(match[1])), []).append(match[0])
        self._files.update(found)
        # A file made within the same tick of the clock would not change the time again.
        if time.time() - changed / 1e9 > _CLOCK_SECONDS:
            self._scanned[directory] = changed
        return True
