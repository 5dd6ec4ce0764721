"""The temporary directory of the reading side: one for each process, for this user alone.

It is deleted when the process ends. A killed process leaves it behind, and the next process that needs a directory
deletes it. A directory is recognized by the content of its lock file. Only files of the kinds that the reading side
creates are deleted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from amllog.errors import UsageError
from amllog.journal import own_files
from amllog.process.file_lock import try_lock

PREFIX = "amllog-read-"
LOCK = "lock"
MARK = b"temporary directory of amllog's reading commands\n"  # the content of the lock file
# Converted files, the index of them, and the index while it is written.
_FILE = re.compile(r".+-\w{8}\.jsonl|\.amllog-index\.json(\.[0-9a-f]{16})?", re.DOTALL)
# Directories for data beyond DuckDB's memory limit, and for files that are read once.
_SUBDIRECTORY = re.compile(r"[0-9a-f]{32}")
_FILE_IN_SUBDIRECTORY = re.compile(r"duckdb_temp_[\w.-]+|[0-9a-f]+(-[0-9]+)?\.jsonl|[0-9a-f]+\.parquet")
# Directories for the names of open compacted files.
_RUN_FOLDER = re.compile(r"parent_run_id=.+", re.DOTALL)
# By process id: the directory, and the descriptor that holds its lock.
_directories: dict[int, tuple[Path, int]] = {}


def process_directory() -> Path:
    """Return the directory of this process. The first call creates it.

    A forked child gets another one, and so does a process that has changed its user. Raises UsageError if no
    directory can be created.
    """
    known = _directories.get(os.getpid())
    if known is not None and own_files.is_private(known[0]):
        return known[0]
    _directories.clear()
    _delete_abandoned()
    try:
        tempfile.gettempdir().encode()  # the path becomes part of SQL, which is UTF-8
        path, fd = _create()
    except UnicodeEncodeError:
        raise UsageError("the name of the temporary directory is not UTF-8: set TMPDIR") from None
    except OSError as error:
        raise UsageError(
            f"no temporary directory can be used ({error.strerror or error}): set TMPDIR to a directory with free space"
        ) from error
    _directories[os.getpid()] = path, fd
    atexit.register(_delete_at_exit, os.getpid(), path)
    return path


def _create() -> tuple[Path, int]:
    """Create a directory. Return it with the descriptor that holds its lock."""
    path, fd = Path(tempfile.mkdtemp(prefix=PREFIX)), -1
    try:
        fd = own_files.open_regular(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try_lock(fd)
        os.write(fd, MARK)
    except BaseException:  # such as a full disk: without the mark, no process would recognize the directory
        if fd >= 0:
            os.close(fd)
            os.unlink(path / LOCK)
        os.rmdir(path)
        raise
    return path, fd


@contextlib.contextmanager
def subdirectory(name: str = "") -> Iterator[Path]:
    """Create a directory in that of this process. It is deleted at the end of the block.

    `name`: 32 hexadecimal digits. By default, they are random. Raises UsageError if it cannot be created.
    """
    path = process_directory() / (name or uuid.uuid4().hex)
    try:
        path.mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(f"{path} cannot be created: {error.strerror}") from error
    try:
        yield path
    finally:
        _delete_subdirectory(path)


def abandoned() -> Iterator[Path]:
    """Yield the directories of ended processes: those of this user whose lock no process holds.

    This process has the lock of a directory until the next one is requested.
    """
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if own_files.is_private(path):
                    fd = own_files.open_regular(path / LOCK, os.O_RDWR)
                    try:
                        if try_lock(fd) and own_files.read_bounded(path / LOCK, len(MARK)) == MARK:
                            yield path
                    finally:
                        os.close(fd)


def _delete_abandoned() -> None:
    for path in abandoned():
        with contextlib.suppress(OSError):
            _delete(path)


def _delete(path: Path) -> None:
    """Delete the files that amllog created in a directory, and the directory if no other file is in it."""
    if own_files.read_bounded(path / LOCK, len(MARK)) != MARK:
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if _FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
            elif _SUBDIRECTORY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _delete_subdirectory(Path(entry.path))
    if os.listdir(path) == [LOCK]:
        os.unlink(path / LOCK)
        os.rmdir(path)


def _delete_subdirectory(path: Path) -> None:
    for name in os.listdir(path):
        if _FILE_IN_SUBDIRECTORY.fullmatch(name):
            os.unlink(path / name)
        elif _RUN_FOLDER.fullmatch(name) and not (path / name).is_symlink():
            _delete_subdirectory(path / name)
    with contextlib.suppress(OSError):  # other files are in it
        os.rmdir(path)


def delete() -> None:
    """Delete the directory of this process, which ends without its exit functions."""
    path, _ = _directories.pop(os.getpid(), (None, -1))
    if path is not None:
        _delete_at_exit(os.getpid(), path)


def _delete_at_exit(process_id: int, path: Path) -> None:
    # A forked child inherits the exit function.
    if os.getpid() == process_id:
        with contextlib.suppress(OSError):
            _delete(path)
