"""Find out whether another process has recorded a record that it sent to this one.

A record is known if a journal in our directory has a line with its time, place, level and message. The process id
alone proves nothing: another node or an earlier process may have the same one, and the process may not record
everything. Each file is read once, and only up to the time of the records.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from amllog.journal import own_files
from amllog.journal.directory import open_segment
from amllog.journal.signature import SEGMENT_NAME
from amllog.process import descriptors, interrupts
from amllog.record import envelope, log_call, text
from amllog.sources.capture.returned_records import LIKE_CHARACTERS, Recorded, contains_words

# The delay of a file system's clock.
_CLOCK_SECONDS = 0.05
# A file that was last written this long before a record does not have it.
_OLD_SECONDS = 60.0
# A line is searched up to this long after the time of its record.
_AHEAD_SECONDS = 5.0
_CHUNK_BYTES = 256 * 1024
# Chunks that are read for one record: the largest size of a segment.
_MAX_CHUNKS = 256


class _Wanted(NamedTuple):
    """A record in the terms of the journal."""

    process: int
    time: str
    place: tuple[str, str, int]
    message: str


class OtherJournals:
    """The journals that other processes keep in our directory."""

    def __init__(self) -> None:
        self._recorded = Recorded()
        # By directory, its modification time at the last scan.
        self._scanned: dict[Path, int] = {}
        # By directory and process id, the names of the segments.
        self._files: dict[Path, dict[int, list[str]]] = {}
        # By path, the number of bytes that were read.
        self._read: dict[str, int] = {}

    def contains(self, directory: Path, entry: Any, mask: Callable[[str, int], str]) -> bool:
        """Return whether the line of a record is in a journal of its process. `mask` masks secrets in strings.

        amllog records a record before other handlers send it. Therefore, the line exists when the record arrives.
        """
        process, created = entry.process, entry.created
        if not (
            isinstance(process, int) and isinstance(created, (int, float)) and isinstance(entry.levelno, int)
        ):
            return False
        line = str(entry.lineno) if entry.pathname else ""
        wanted = _Wanted(
            process,
            envelope.format_timestamp(created),
            (line, text.truncate(text.to_text(entry.name), 256), envelope.severity(entry.levelno)),
            mask(log_call.format_record(entry), envelope.MAX_MESSAGE) or envelope.EMPTY,
        )
        return (
            self._is_known(wanted)
            or self._find(directory, wanted, created)
            or (self._scan(directory) and self._find(directory, wanted, created))
        )

    def _is_known(self, wanted: _Wanted) -> bool:
        """Return whether one of the lines that were read is that of the record."""
        process, moment, place, message = wanted
        if self._recorded.has((process, moment, *place), message):
            return True
        # A handler may have formatted the message, or used the repr of an object. This is compared only if the clock
        # distinguishes lines.
        only = self._recorded.get((process, moment))
        if not only or moment.endswith(".000000Z") or only[1] != place:
            return False
        return contains_words(message, only[2]) or _is_of_error(only[2], message)

    def _find(self, directory: Path, wanted: _Wanted, created: float) -> bool:
        for name in self._files.get(directory, {}).get(wanted.process, ()):
            path = os.path.join(directory, name)
            with interrupts.suppress(OSError):
                status = os.stat(path, follow_symlinks=False)
                if status.st_size < self._read.get(path, 0):
                    self._read[path] = 0  # truncated
                is_new = status.st_size > self._read.get(path, 0)
                if (
                    is_new
                    and status.st_mtime >= created - _OLD_SECONDS
                    and self._read_on(path, wanted, created)
                ):
                    return True
        return False

    def _read_on(self, path: str, wanted: _Wanted, created: float) -> bool:
        """Read until the record's line is known, and not much further than to its time. Raises OSError."""
        until = envelope.format_timestamp(created + _AHEAD_SECONDS).encode()
        fd = open_segment(Path(path))
        identity = descriptors.read_identity(fd)
        try:
            for _ in range(_MAX_CHUNKS):
                start = self._read.get(path, 0)
                data = own_files.read_at(fd, _CHUNK_BYTES, start)
                end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _CHUNK_BYTES else 0)
                if not end:
                    return False
                lines = data[:end].splitlines(keepends=True)
                offset = start
                for line in lines:
                    self._add(wanted.process, (path, offset), line)
                    offset += len(line)
                self._read[path] = start + end
                if self._is_known(wanted):
                    return True
                if sorted(line[envelope.TIME_SLICE] for line in lines)[len(lines) // 2] > until:
                    return False
            return False
        finally:
            descriptors.close_if_same(fd, identity)

    def _add(self, process: int, source: tuple[str, int], line: bytes) -> None:
        """Remember a message or an exception of the process. `source`: path and offset of the line."""
        if not envelope.is_complete(line):
            return
        with interrupts.suppress(KeyError, TypeError, AttributeError):  # not a record of amllog
            record = envelope.decode_line(line) or {}
            data, moment = record["data"]["baseData"], record["time"]
            properties, is_error = data["properties"], record["data"]["baseType"] == "ExceptionData"
            message = properties["message"] if is_error else data["message"]
            place = properties.get("lineNumber", ""), properties["logger"], data["severityLevel"]
            if not isinstance(message, str):
                return
            longer = is_error or "stack_info" in properties
            self._recorded.add((process, moment, *place), message, longer=longer)
            key, before = (process, moment), self._recorded.get((process, moment))
            if before is None or before[0] == source:
                self._recorded.put(key, (source, place, message[:LIKE_CHARACTERS]))
            else:
                self._recorded.put(key, (None, (), ""))  # several lines have this time

    def _scan(self, directory: Path) -> bool:
        """List the directory if it has changed. Return whether it was listed."""
        with interrupts.suppress(OSError):
            changed = os.stat(directory).st_mtime_ns
            if self._scanned.get(directory) == changed:
                return False
            names = os.listdir(directory)
            files: dict[int, list[str]] = {}
            for match in filter(None, map(SEGMENT_NAME.match, names)):
                files.setdefault(int(match["pid"]), []).append(match[0])
            self._files[directory] = files
            # A file made within the same tick of the clock would not change the time again.
            if time.time() - changed / 1e9 > _CLOCK_SECONDS:
                self._scanned[directory] = changed
            return True
        return False


def _is_of_error(recorded: str, returned: str) -> bool:
    """Return whether the message is an exception. amllog writes its type before it, `logging` does not."""
    kind, _, rest = recorded.partition(": ")
    is_truncated = len(recorded) >= LIKE_CHARACTERS
    ends = is_truncated or returned[len(rest) : len(rest) + 1] in ("", "\n")
    return bool(rest) and kind.isidentifier() and returned.startswith(rest) and ends
