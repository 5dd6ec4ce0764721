"""The code of a step as it will be in the working directory: without the files that the ignore file excludes."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from amllog.local.execution.code_copy import code_entries
from amllog.local.execution.ignore_rules import IGNORE_FILES, IgnoreRules

# The limits of a snapshot in Azure ML.
MAX_BYTES = 300_000_000
MAX_FILES = 2_000


class CodeSize(NamedTuple):
    """The number of files and their bytes. The count stops above one of the limits."""

    files: int
    size: int

    @property
    def is_too_big(self) -> bool:
        """Return whether the code is above one of the limits."""
        return self.files > MAX_FILES or self.size > MAX_BYTES


class CodeFolder:
    """The code of a step: a folder, a single file, or nothing. `includes` are files and folders beside it."""

    def __init__(self, path: Path | None, includes: Iterable[Path] = ()) -> None:
        self.path = path
        self._includes = {include.name: include for include in includes}
        self._is_folder = path is not None and os.path.isdir(path)

    def __str__(self) -> str:
        return str(self.path) if self.path else "an empty folder: the step has no `code`"

    @cached_property
    def _rules(self) -> IgnoreRules:
        return IgnoreRules.of_folder(self.path) if self.path and self._is_folder else IgnoreRules([])

    def file(self, name: str) -> Path | None:
        """Return the path of a file or folder of the working directory, or None if it is not there.

        `name` is relative to the working directory, or absolute.
        """
        place = self.place(name)
        if place is None or not os.path.exists(place):
            return None
        return None if self.is_excluded(name) else place

    def place(self, name: str) -> Path | None:
        """Return the path that a file of this name has, whether it exists or not. None: there is no such place."""
        if os.path.isabs(name):
            return Path(name)
        relative = os.path.normpath(name)
        first, _, rest = relative.partition(os.sep)
        if first in self._includes:
            return self._includes[first] / rest if rest else self._includes[first]
        if self.path is None or relative.split(os.sep)[0] == os.pardir:
            return None  # what is above the working directory is not ours
        if self._is_folder:
            return self.path / relative
        return self.path if relative == self.path.name else None

    def is_excluded(self, name: str) -> bool:
        """Return whether the ignore file excludes this name."""
        relative = os.path.normpath(name).replace(os.sep, "/")
        return not os.path.isabs(name) and self._rules.excludes(relative)

    @property
    def ignore_file(self) -> str:
        """The name of the ignore file that counts, or "" without one."""
        return next((name for name in IGNORE_FILES if self.path and os.path.isfile(self.path / name)), "")

    def similar(self, name: str) -> str:
        """Return the name of a file that may be meant, or ""."""
        place = self.place(name)
        if place is None:
            return ""
        try:
            names = {path.stem: path.name for path in place.parent.iterdir() if path.suffix == place.suffix}
        except OSError:  # it is no folder, or the user may not read it
            return ""
        close = difflib.get_close_matches(place.stem, names, 1)
        return os.path.join(os.path.dirname(name), names[close[0]]) if close else ""

    def size(self) -> CodeSize:
        """Return the size of the code. Raise OSError if a folder cannot be read."""
        files = total = 0
        for entry in code_entries(self.path) if self.path else ():
            if stat.S_ISREG(entry.mode):
                files += 1
                total += os.stat(entry.path).st_size
                if files > MAX_FILES or total > MAX_BYTES:
                    break
        return CodeSize(files, total)
