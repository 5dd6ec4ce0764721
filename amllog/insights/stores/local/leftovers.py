"""`Leftovers`: the files that an answer does not have the records of."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from amllog.insights.stores.local.formats import unsupported
from amllog.insights.stores.local.other_formats import open_for_reading, read_head

MAX_DESCRIBED = 10  # ignored files in one answer


@dataclass
class Leftovers:
    """The files that are not read.

    `unread` has a sentence for each that could not be read, and `left_out` for each with rows that no question reads.
    `ignored` has the paths of files in directories that have no records in a form that is read.
    """

    unread: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)

    def add(self, path: Path, *, is_named: bool) -> None:
        """Add a file without records. It is unread if the user named it, or if it has telemetry for certain."""
        if is_named or unsupported.is_telemetry(path.name, _tail(path) if path.suffix == ".zip" else b""):
            self.unread.append(f"{path}: {unsupported.describe(path.name, read_head(path))}")
        else:
            self.ignored.append(path)

    def describe_ignored(self) -> tuple[str, ...]:
        """Return a sentence for each ignored file, of at most `MAX_DESCRIBED` of them."""
        sentences = [
            f"{path}: {unsupported.describe(path.name, read_head(path))}"
            for path in self.ignored[:MAX_DESCRIBED]
        ]
        more = len(self.ignored) - MAX_DESCRIBED
        return (*sentences, *([f"{more} more files"] if more > 0 else []))


def _tail(path: Path) -> bytes:
    try:
        with open_for_reading(path) as file:
            file.seek(-min(unsupported.TAIL_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read()
    except OSError:
        return b""
