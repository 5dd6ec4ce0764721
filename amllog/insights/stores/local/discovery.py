"""Find the files to read, and detect copies of the same file and open writers.

A file can be in a directory twice because it was downloaded twice, and it counts once. Other programs write to these
directories too. So links in them are not followed, and their depth and number of entries are limited.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.config import user_path
from amllog.insights.stores.local import local_runs, other_formats, ownership
from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.formats import unsupported
from amllog.insights.stores.local.leftovers import Leftovers
from amllog.insights.stores.local.long_lines import has_long_line
from amllog.insights.stores.local.other_formats import open_for_reading
from amllog.process.file_lock import try_lock

JOURNAL_NAME = re.compile(r"\d{8}T\d{6}.*\.jsonl")
COMPACTED_FOLDER = "compacted"  # in a journal directory
MAX_DEPTH = 40  # of nested folders
MAX_ENTRIES = 1_000_000  # files and folders in one directory tree
_HEAD_BYTES = 4096
_CHUNK_BYTES = 1024 * 1024


class FoundFile(NamedTuple):
    """A file and its state when it was found. `modified`: st_mtime_ns. `rank`: of its owner.

    `source`: the file from which it was converted, or None.
    """

    path: Path
    size: int
    modified: int
    rank: int = ownership.OWN
    source: Path | None = None


def find_files(
    places: Sequence[Path],
    *,
    convert: bool = True,
    skipped: list[str] | None = None,
    leftovers: Leftovers | None = None,
) -> list[FoundFile]:
    """Return the given files, and all `*.jsonl` in and below the given directories.

    They are sorted by name, which sorts journals by time. Files of other programs are converted, or ignored with
    `convert=False`. `skipped`, or `leftovers`, gets a sentence for each file that is not read.
    """
    files: dict[Path, FoundFile] = {}
    leftovers = leftovers or Leftovers([] if skipped is None else skipped)
    notes = leftovers.unread
    for place in places:
        owner, is_directory = ownership.owner_id(place), user_path.is_directory(place)
        paths = _candidates(place, leftovers) if is_directory else [place]
        for path in local_runs.without_copies(paths, place, places):
            try:
                file = _stat_file(path.resolve(), owner)
                if (
                    file.size
                    and not JOURNAL_NAME.fullmatch(path.name)
                    and (convert or path.suffix != ".jsonl")
                ):
                    converted = _converted(file, leftovers) if convert else None
                    if converted is None and not (is_directory and path.suffix == ".jsonl"):
                        leftovers.add(path, is_named=not is_directory)
                        continue
                    if converted is not None and converted != file.path:
                        file = _stat_file(converted, owner, file.rank)._replace(source=path)
                if file.size:
                    files[file.path] = file
            except FileNotFoundError:
                pass  # deleted since it was found
            except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
                notes.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    return sorted(_without_copies(files.values()), key=lambda file: (file.path.name, str(file.path)))


def is_below(path: Path, place: Path) -> bool:
    """Return whether a file is this place or in it."""
    return place.resolve() in (path.resolve(), *path.resolve().parents)


def is_reportable(path: Path, places: Iterable[Path]) -> bool:
    """Return whether a file without records is worth a note: a journal, an export, or one that was named."""
    is_telemetry = (
        path.suffix == ".trn" or unsupported.is_telemetry(path.name) or JOURNAL_NAME.fullmatch(path.name)
    )
    return bool(is_telemetry) or path.resolve() in (place.resolve() for place in places)


def _converted(file: FoundFile, leftovers: Leftovers) -> Path | None:
    """Return the file with one envelope per line, or None if the file has no envelopes."""
    try:
        converted = other_formats.convert_to_lines(file.path, file.size, file.modified)
    except OSError:
        try:
            open_for_reading(file.path).close()
        except OSError:  # the store reports the error when it reads the file
            return file.path
        raise  # the converted file could not be written
    if isinstance(converted, str):
        raise OSError(errno.EFBIG, converted, str(file.path))
    if converted is None or converted.path == file.path:
        return converted.path if converted else None
    for table, rows in converted.left_out.items():
        count = "1 row" if rows == 1 else f"{rows} rows"
        leftovers.left_out.append(f"{file.path}: {count} of {table}, which no question reads")
    if has_long_line(converted.path, 0, converted.path.stat().st_size):
        # Reported here, because the name of the converted file means nothing to a user.
        raise OSError(errno.EFBIG, f"has a line of more than {MAX_LINE_BYTES:,} bytes", str(file.path))
    return converted.path


def _candidates(folder: Path, leftovers: Leftovers) -> list[Path]:
    """Return the files in and below a folder that may have envelopes, by their names."""
    paths, notes = [], leftovers.unread
    for entry in _walk(folder, notes):
        path = Path(entry.path)
        if entry.is_file(follow_symlinks=False):
            if path.suffix == ".jsonl" or other_formats.is_candidate(path):
                paths.append(path)
            elif unsupported.may_have_records(path) and COMPACTED_FOLDER not in path.parts:
                leftovers.add(path, is_named=False)
        # A folder may be named like a file, as Spark's are, but not like a journal file.
        elif JOURNAL_NAME.fullmatch(path.name) or (
            path.suffix == ".jsonl" and not entry.is_dir(follow_symlinks=False)
        ):
            notes.append(f"{path}: is {'a symbolic link' if entry.is_symlink() else 'not a regular file'}")
    return paths


def _walk(folder: Path, notes: list[str]) -> Iterator[os.DirEntry[str]]:
    """Yield every entry in and below a folder, without following links, within the limits."""
    pending, count = [(str(folder), 0)], 0
    while pending:
        place, depth = pending.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_ENTRIES:
                        notes.append(f"{folder}: has more than {MAX_ENTRIES:,} files; the others")
                        return
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted or replaced since it was found
        except OSError as error:
            # Such as a folder without read permission. Its records are missing in the answer.
            notes.append(f"{place}: {error.strerror}")
            continue
        if depth >= MAX_DEPTH:
            allowed = [item for item in pending if item[1] <= depth]
            if len(allowed) < len(pending):
                notes.append(f"{place}: folders more than {MAX_DEPTH} deep")
            pending = allowed


def _stat_file(path: Path, directory_owner: int, rank: int | None = None) -> FoundFile:
    """Return the state of a file. `rank`: that of the file from which it was converted.

    Raises OSError if the file must not be read.
    """
    status = os.stat(path, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    rank = ownership.owner_rank(status, directory_owner) if rank is None else rank
    if rank == ownership.FOREIGN and ownership.is_world_writable(status):
        reason = "belongs to another user, and everybody can write to it"
        raise PermissionError(errno.EPERM, reason, str(path))
    return FoundFile(path, status.st_size, status.st_mtime_ns, rank)


def find_compacted_folders(places: Iterable[Path]) -> dict[Path, int]:
    """Return every folder of compacted files in or below the directories, with the directory's owner id."""
    owners: dict[Path, int] = {}
    for place in places:
        for entry in _walk(place, []) if user_path.is_directory(place) else ():
            if entry.name == COMPACTED_FOLDER and entry.is_dir(follow_symlinks=False):
                owners[Path(entry.path).resolve()] = ownership.owner_id(place)
    return dict(sorted(owners.items()))


def has_writer(path: Path) -> bool | None:
    """Return whether a process has the journal file locked for writing. None on file systems without locks."""
    try:
        with open_for_reading(path) as file:
            is_free = try_lock(file.fileno(), shared=True)
            return None if is_free is None else not is_free
    except OSError:
        return None


def fingerprint(path: Path, size: int) -> str:
    """Return a digest of the start and the end of a file's first `size` bytes.

    "" if the file is shorter, or if the bytes do not end with a line end. A journal is only appended to. So an equal
    fingerprint means that only the bytes after `size` are new.
    """
    try:
        with open_for_reading(path) as file:
            start = file.read(min(_HEAD_BYTES, size))
            file.seek(max(0, size - _HEAD_BYTES))
            end = file.read(min(_HEAD_BYTES, size))
    except OSError:
        return ""
    is_complete = len(start) == len(end) == min(_HEAD_BYTES, size) and end.endswith(b"\n")
    return hashlib.blake2b(start + end, digest_size=8).hexdigest() if is_complete else ""


def copy_from(file: FoundFile, start: int, target: Path) -> None:
    """Copy the bytes from `start` to the size that the file had when it was found.

    Raises OSError if they cannot be read.
    """
    with open_for_reading(file.path) as source, target.open("wb") as copy:
        source.seek(start)
        remaining = file.size - start
        while remaining and (chunk := source.read(min(remaining, _CHUNK_BYTES))):
            remaining -= copy.write(chunk)
        if remaining:
            raise OSError(f"{file.path} is shorter than it was")


def _without_copies(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Return the longest of the files that have the same name and the same start.

    The shorter ones are copies from an earlier time. A file of another user never replaces one of this user.
    """
    longest: dict[object, FoundFile] = {}
    by_name: dict[str, list[FoundFile]] = {}
    for file in files:
        by_name.setdefault(file.path.name, []).append(file)
    for namesakes in by_name.values():
        for file in namesakes:
            head = _head(file.path, min(other.size for other in namesakes)) if len(namesakes) > 1 else b""
            key = (file.path.name, file.rank, head)
            if key not in longest or longest[key].size < file.size:
                longest[key] = file
    return list(longest.values())


def _head(path: Path, size: int) -> bytes:
    try:
        with open_for_reading(path) as file:
            return file.read(min(_HEAD_BYTES, size))
    except OSError:
        return os.urandom(16)  # the file cannot be compared, so it equals no other
