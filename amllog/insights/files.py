"""Which files there are to read: found, told apart, and whether someone still writes them.

In: directories and files. Out: `File` values: a file that was downloaded twice stands there once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from amllog.insights import unpacked

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

JOURNAL = re.compile(r"\d{8}T\d{6}.*\.jsonl")  # as a journal's files are named
COMPACTED = "compacted"  # the folder in a journal directory for compacted runs
_HEAD_BYTES = 4096
_COPIED_BYTES = 1024 * 1024


class File(NamedTuple):
    """A file as it was when it was looked at."""

    path: Path
    size: int
    changed: int  # st_mtime_ns


def find(places: Iterable[Path], *, own: bool = False) -> list[File]:
    """Files that are named, and every `*.jsonl` in and below directories, by name: for journals that is by time.

    Where other programs' envelopes stand under other names, packed or in arrays, the files of lines that `unpacked`
    makes of them. `own`: no file but `*.jsonl` as they are.
    """
    found: dict[Path, File] = {}
    for place in places:
        for path in _in(place) if place.is_dir() else [place]:
            with contextlib.suppress(OSError):  # gone: as if it had not been there
                about = _looked_at(path.resolve())
                is_lines = path.suffix == ".jsonl"
                if about.size and not JOURNAL.fullmatch(path.name) and not (own and is_lines):
                    lines = None if own else _unpacked(about)
                    if lines is None and place.is_dir() and not is_lines:
                        continue
                    about = about if lines is None or lines == about.path else _looked_at(lines)
                if about.size:
                    found[about.path] = about
    return sorted(_once(found.values()), key=lambda file: (file.path.name, str(file.path)))


def _unpacked(file: File) -> Path | None:
    try:
        return unpacked.lines(*file)
    except OSError:  # not for us, or no room for what is in it: who reads it tells
        return file.path


def _in(folder: Path) -> list[Path]:
    every = folder.rglob("*.*")
    return [
        path for path in every if path.suffix == ".jsonl" or (unpacked.is_candidate(path) and path.is_file())
    ]


def _looked_at(path: Path) -> File:
    about = path.stat()
    return File(path, about.st_size, about.st_mtime_ns)


def folders(places: Iterable[Path]) -> list[Path]:
    """Every folder with compacted runs in or below the directories."""
    named = (path for place in places if place.is_dir() for path in place.rglob(COMPACTED))
    return sorted({path.resolve() for path in named if path.is_dir()})


def is_open(path: Path) -> bool:
    """Whether the process that writes it still holds it. Without locks nobody is seen to."""
    if fcntl is not None:
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a file system without locks
    return False


def seal(path: Path, size: int) -> str:
    """A digest of how the first `size` bytes begin and end; "" where they do not end with a line, or are not there.

    Who finds it again reads on from there: a journal is only appended to.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(min(_HEAD_BYTES, size))
            file.seek(max(0, size - _HEAD_BYTES))
            end = file.read(min(_HEAD_BYTES, size))
    except OSError:
        return ""
    whole = len(begin) == len(end) == min(_HEAD_BYTES, size) and end.endswith(b"\n")
    return hashlib.blake2b(begin + end, digest_size=8).hexdigest() if whole else ""


def copy(file: File, begin: int, target: Path) -> None:
    """The bytes from `begin` to where the file ended when it was looked at. OSError where they cannot be had."""
    with file.path.open("rb") as source, target.open("wb") as copied:
        source.seek(begin)
        left = file.size - begin
        while left and (part := source.read(min(left, _COPIED_BYTES))):
            left -= copied.write(part)
        if left:
            raise OSError(f"{file.path} is shorter than it was")


def _once(files: Iterable[File]) -> list[File]:
    """Of files with one name and one beginning, the longest: the others are copies from when it was shorter."""
    kept: dict[object, File] = {}
    by_name: dict[str, list[File]] = {}
    for file in files:
        by_name.setdefault(file.path.name, []).append(file)
    for same in by_name.values():
        for file in same:
            key = (file.path.name, _head(file.path, min(one.size for one in same)) if len(same) > 1 else b"")
            if key not in kept or kept[key].size < file.size:
                kept[key] = file
    return list(kept.values())


def _head(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(min(_HEAD_BYTES, size))
    except OSError:
        return os.urandom(16)  # cannot be compared: like no other
