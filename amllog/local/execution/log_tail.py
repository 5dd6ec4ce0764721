"""Read the lines that a step appends to its log."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import NamedTuple

CHUNK = 1 << 18
BEHIND_MAX = 1 << 23  # a reader that is further behind continues near the end
LINE_MAX = 1 << 16  # a longer line is divided


class NewText(NamedTuple):
    """The lines since the last time, and the beginning of a line that has no end yet."""

    lines: list[str]
    unfinished: str
    has_more: bool


class LogTail:
    """A reader of one log. Bytes that are no UTF-8 are replaced. A carriage return is part of the line.

    A step that is tried again gets a new log, and the one before is renamed. The reader follows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""
        self._identity: tuple[int, int] | None = None

    def read(self, *, is_last: bool = False) -> NewText:
        """Return the next lines. `is_last` returns the last line also if it has no end."""
        try:
            with self._path.open("rb") as file:
                self._follow(_identity(os.fstat(file.fileno())))
                size = file.seek(0, io.SEEK_END)
                skipped = self._skip(size)
                file.seek(self._position)
                data = file.read(CHUNK)
        except OSError:  # the step may delete it, or put something else in its place
            return NewText([], "", False)
        self._position += len(data)
        *parts, self._rest = (self._rest + data).split(b"\n")
        has_more = self._position < size
        while len(self._rest) > LINE_MAX:
            parts.append(self._rest[:LINE_MAX])
            self._rest = self._rest[LINE_MAX:]
        if is_last and self._rest and not has_more:
            parts.append(self._rest)
            self._rest = b""
        lines = [_text(part) for part in parts]
        return NewText([*skipped, *lines], _text(self._rest), has_more)

    def _follow(self, identity: tuple[int, int]) -> None:
        """Continue with a new log. The end of the one before precedes it."""
        if self._identity not in (None, identity):
            for path in self._path.parent.iterdir():
                if _identity(path.lstat()) == self._identity:
                    with path.open("rb") as file:
                        file.seek(max(self._position, file.seek(0, io.SEEK_END) - CHUNK))
                        self._rest += file.read(CHUNK)
            self._position = 0
            if self._rest and not self._rest.endswith(b"\n"):
                self._rest += b"\n"
        self._identity = identity

    def _skip(self, size: int) -> list[str]:
        """Continue near the end if the reader is too far behind. Return a line that says so."""
        count = size - self._position + len(self._rest) - CHUNK
        if size - self._position <= BEHIND_MAX:
            return []
        self._position, self._rest = size - CHUNK, b""
        return [f"… {count:,} bytes are not shown here. They are in {self._path}"]


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
