"""Which files there are to read: found, told apart, and whether someone still writes them.

In: directories and files. Out: `File` values: a file that was downloaded twice stands there once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amllog.config import user_path
from amllog.insights.stores.local import other_formats, ownership
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.other_formats import open_for_reading

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

JOURNAL_NAME = re.compile(r"\d{8}T\d{6}.*\.jsonl")  # as a journal's files are named
COMPACTED_FOLDER = "compacted"  # the folder in a journal directory for compacted runs
_HEAD_BYTES = 4096
_COPIED_BYTES = 1024 * 1024
MAX_DEPTH = 40  # folders within folders
MAX_ENTRIES = 1_000_000  # files and folders that are looked at


class FoundFile(NamedTuple):
    """A file as it was when it was looked at."""

    path: Path
    size: int
    modified: int  # st_mtime_ns
    rank: int = ownership.OWN  # whose it is


def find_files(
    places: Iterable[Path], *, own: bool = False, left_out: list[str] | None = None
) -> list[FoundFile]:
    """Files that are named, and every `*.jsonl` in and below directories, by name: for journals that is by time.

    Where other programs' envelopes stand under other names, packed or in arrays, the files of lines that `unpacked`
    makes of them. `own`: no file but `*.jsonl` as they are. `left_out` gets a text for each file or directory
    that is not read: a link inside a directory, no regular file, one beyond the limits, one that cannot be opened.
    """
    found: dict[Path, FoundFile] = {}
    notes = left_out if left_out is not None else []
    for place in places:
        owner = ownership.owner_id(place)
        for path in _in(place, notes) if user_path.is_directory(place) else [place]:
            try:
                about = _looked_at(path.resolve(), owner)
                is_lines = path.suffix == ".jsonl"
                if about.size and not JOURNAL_NAME.fullmatch(path.name) and not (own and is_lines):
                    lines = None if own else _unpacked(about)
                    if lines is None and user_path.is_directory(place) and not is_lines:
                        continue
                    about = (
                        about
                        if lines is None or lines == about.path
                        else _looked_at(lines, owner, about.rank)
                    )
                if about.size:
                    found[about.path] = about
            except FileNotFoundError:
                pass  # deleted meanwhile
            except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
                notes.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    return sorted(_once(found.values()), key=lambda file: (file.path.name, str(file.path)))


def is_reportable(path: Path, places: Iterable[Path]) -> bool:
    """Whether a file without a record is to be reported: one of a journal, or one that is itself among the places."""
    return JOURNAL_NAME.fullmatch(path.name) is not None or any(path == place.resolve() for place in places)


def _unpacked(file: FoundFile) -> Path | None:
    try:
        found = other_formats.convert_to_lines(file.path, file.size, file.modified)
    except OSError:
        try:
            open_for_reading(file.path).close()
        except OSError:  # the store that reads it reports the error
            return file.path
        raise  # the copy could not be written
    if isinstance(found, str):
        raise OSError(errno.EFBIG, found, str(file.path))
    if found is not None and found != file.path and has_long_line(found, 0, found.stat().st_size):
        # Here, where the file still has its own name: the copy's says nothing to a reader.
        raise OSError(errno.EFBIG, f"has a line of more than {MAX_LINE_BYTES:,} bytes", str(file.path))
    return found


def _in(folder: Path, notes: list[str]) -> list[Path]:
    found = []
    for entry in _walk(folder, notes):
        path = Path(entry.path)
        if entry.is_file(follow_symlinks=False):
            if path.suffix == ".jsonl" or other_formats.is_candidate(path):
                found.append(path)
        elif JOURNAL_NAME.fullmatch(path.name) or (
            path.suffix == ".jsonl" and not entry.is_dir(follow_symlinks=False)
        ):  # a folder may be named as a file, as Spark's are, but not as a journal's file
            notes.append(f"{path}: is {'a symbolic link' if entry.is_symlink() else 'not a regular file'}")
    return found


def _walk(folder: Path, notes: list[str]) -> Iterator[os.DirEntry[str]]:
    """Everything in and below a folder. Links are not followed; depth and number are bounded."""
    waiting, number = [(str(folder), 0)], 0
    while waiting:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    number += 1
                    if number > MAX_ENTRIES:
                        notes.append(f"{folder}: has more than {MAX_ENTRIES:,} files; the others")
                        return
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted or replaced meanwhile
        except OSError as error:  # not for this user, say: what is in it is missing in the answer
            notes.append(f"{place}: {error.strerror}")
            continue
        if depth >= MAX_DEPTH:
            kept = [one for one in waiting if one[1] <= depth]
            if len(kept) < len(waiting):
                notes.append(f"{place}: folders more than {MAX_DEPTH} deep")
            waiting = kept


def has_long_line(path: Path, begin: int, end: int) -> bool:
    """Whether more than MAX_LINE_BYTES stand without a line end somewhere between the two positions.

    Reads the end of each stretch of that length only, if there is a line end. OSError if the file cannot be read.
    """
    if end - begin <= MAX_LINE_BYTES:
        return False
    with open_for_reading(path) as file:
        while end - begin > MAX_LINE_BYTES:
            after = _after_last_line(file, begin, begin + MAX_LINE_BYTES)
            if after is None:
                return True
            begin = after
    return False


def _after_last_line(file: BinaryIO, begin: int, end: int) -> int | None:
    while end > begin:
        start = max(begin, end - _HEAD_BYTES * 16)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return None


def _looked_at(path: Path, owner: int, rank: int | None = None) -> FoundFile:
    """A file as it is now. OSError if it must not be read. `rank`: of the file that it was made from."""
    about = os.stat(path, follow_symlinks=False)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    whose = ownership.owner_rank(about, owner) if rank is None else rank
    if whose == ownership.FOREIGN and ownership.is_world_writable(about):
        raise PermissionError(
            errno.EPERM, "belongs to another user, and everybody can write to it", str(path)
        )
    return FoundFile(path, about.st_size, about.st_mtime_ns, whose)


def find_compacted_folders(places: Iterable[Path]) -> dict[Path, int]:
    """Every folder with compacted runs in or below the directories, by name, and the owner of the directory."""
    found: dict[Path, int] = {}
    for place in places:
        for one in _walk(place, []) if user_path.is_directory(place) else ():
            if one.name == COMPACTED_FOLDER and one.is_dir(follow_symlinks=False):
                found[Path(one.path).resolve()] = ownership.owner_id(place)
    return dict(sorted(found.items()))


def has_writer(path: Path) -> bool:
    """Whether the process that writes it still holds it. Without locks nobody is seen to."""
    if fcntl is not None:
        try:
            with open_for_reading(path) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a file system without locks
    return False


def fingerprint(path: Path, size: int) -> str:
    """A digest of how the first `size` bytes begin and end; "" where they do not end with a line, or are not there.

    Who finds it again reads on from there: a journal is only appended to.
    """
    try:
        with open_for_reading(path) as file:
            begin = file.read(min(_HEAD_BYTES, size))
            file.seek(max(0, size - _HEAD_BYTES))
            end = file.read(min(_HEAD_BYTES, size))
    except OSError:
        return ""
    whole = len(begin) == len(end) == min(_HEAD_BYTES, size) and end.endswith(b"\n")
    return hashlib.blake2b(begin + end, digest_size=8).hexdigest() if whole else ""


def copy_from(file: FoundFile, begin: int, target: Path) -> None:
    """The bytes from `begin` to where the file ended when it was looked at. OSError where they cannot be had."""
    with open_for_reading(file.path) as source, target.open("wb") as copied:
        source.seek(begin)
        left = file.size - begin
        while left and (part := source.read(min(left, _COPIED_BYTES))):
            left -= copied.write(part)
        if left:
            raise OSError(f"{file.path} is shorter than it was")


def _once(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Of files with one name and one beginning, the longest: the others are copies from when it was shorter.

    A file of another user never stands for one of this user.
    """
    kept: dict[object, FoundFile] = {}
    by_name: dict[str, list[FoundFile]] = {}
    for file in files:
        by_name.setdefault(file.path.name, []).append(file)
    for same in by_name.values():
        for file in same:
            head = _head(file.path, min(one.size for one in same)) if len(same) > 1 else b""
            key = (file.path.name, file.rank, head)
            if key not in kept or kept[key].size < file.size:
                kept[key] = file
    return list(kept.values())


def _head(path: Path, size: int) -> bytes:
    try:
        with open_for_reading(path) as file:
            return file.read(min(_HEAD_BYTES, size))
    except OSError:
        return os.urandom(16)  # cannot be compared: like no other
