"""Recognize lines of the driver log that another thread brings back as records, because stdout is itself a logger.

The thread that writes a line recognizes what the write causes (`process/own_work`). Another thread may log the line
later: one that reads a queue, or the other end of a pipe on descriptor 1. A returned line contains the time of the line
to the millisecond and its words, however it is quoted, prefixed or cut. A text that only mentions a time is none.

The call site of a returned line is the one that logs stdout. Its other records are prints of the script, which are on
stdout already. No line is written for them, so every loop through this call site ends.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Any

from amllog.process import interrupts

KEPT = 256  # lines; a power of two
MAX_CHARACTERS = 4_000  # of a line
MAX_SITES = 1_000
_HEAD = 60  # the characters of a line that contain its time
_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{3}")
_WORD = re.compile(r"\w+")
_COLOUR = re.compile(r"(?:\x1b|\\x1b|\\u001b|\\033)\[[0-9;]*m")  # also in a repr or in JSON
_LEAST_PART = 16  # characters of a part of a line, which is more than its time
_LEAST = 4  # characters of the words of a further line, such as that of a stack
_ACCESS = 3  # os.O_ACCMODE, which Windows does not have
Site = tuple[object, ...]


class Echoes:
    """The last lines of the driver log, and the call sites that log stdout."""

    def __init__(self) -> None:
        # Before each write, `keep` puts the line here. The reader of a pipe may be faster than the writer.
        self.lines = [""] * KEPT
        self.sites: set[Site] = set()

    def is_echo(self, message: str, site: Site) -> bool:
        """Return whether a message is a line that was written before. Then `site` is one that logs stdout."""
        message = message[: 4 * MAX_CHARACTERS].strip()
        times = set(_TIME.findall(message))
        if not message or (not times and site not in self.sites):
            return False
        words = _words(message)
        for line in self.lines:
            if any(time in line for time in times) and self._is_line(line, message, words, times):
                self.add_site(site)
                return True
            if site in self.sites and "\n" in line and _is_further_line(line, message, words):
                return True
        return False

    @staticmethod
    def _is_line(line: str, message: str, words: str, times: set[str]) -> bool:
        """Return whether a message is a written line of one of these times."""
        first = line.partition("\n")[0]
        is_part = len(message) > _LEAST_PART and message in line
        return any(time in first[:_HEAD] for time in times) and (is_part or _words(first) in words)

    def add_site(self, site: Site) -> None:
        """Note that a call site logs stdout."""
        if len(self.sites) < MAX_SITES:
            self.sites.add(site)


def _is_further_line(line: str, message: str, words: str) -> bool:
    """Return whether a message is a further line of a written one, for example of a stack."""
    for part in line.split("\n")[1:]:
        own_words = _words(part)
        if part.strip() == message or (len(own_words) > _LEAST and own_words in words):
            return True
    return False


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(_COLOUR.sub(' ', text)))} "


def is_read_here(stream: Any) -> bool:
    """Return whether this process has the reading end of the pipe that a stream writes to, as far as Linux shows it."""
    if sys.platform != "linux":
        return False
    with interrupts.suppress(OSError, ValueError, AttributeError):
        status = os.fstat(stream.fileno())
        if stat.S_ISFIFO(status.st_mode):
            return any(_is_reading_end(number, status) for number in _descriptors())
    return False


def _descriptors() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc/self/fd"))


def _is_reading_end(number: int, pipe: os.stat_result) -> bool:
    import fcntl

    with interrupts.suppress(OSError):  # it is closed by now
        status = os.fstat(number)
        is_same = (status.st_dev, status.st_ino) == (pipe.st_dev, pipe.st_ino)
        return is_same and fcntl.fcntl(number, fcntl.F_GETFL) & _ACCESS == os.O_RDONLY
    return False
