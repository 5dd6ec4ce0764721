"""The temporary directory of the reading side: one for each process, for this user alone.

In: nothing. Out: its path. It is removed when the process ends. A process that was killed leaves it behind; the next
process that needs one removes it. A directory is ours if its lock file has our line in it, and only files of the kinds
that the reading side makes are deleted.
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

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

PREFIX = "amllog-read-"
LOCK = "lock"
MARK = b"temporary directory of amllog's reading commands\n"  # what the lock file holds
# The files of lines, the index of what they hold, and that index while it is written.
_FILE = re.compile(r".+-\w{8}\.jsonl|\.amllog-index\.json(\.[0-9a-f]{16})?", re.DOTALL)
# Directories for what the memory of DuckDB does not hold, and for files of lines that are read once.
_DIRECTORY = re.compile(r"[0-9a-f]{32}")
_FILE_IN_IT = re.compile(r"duckdb_temp_[\w.-]+|[0-9a-f]+(-[0-9]+)?\.jsonl|[0-9a-f]+\.parquet")
_RUN_IN_IT = re.compile(r"parent_run_id=.+", re.DOTALL)  # a directory for names of compacted files
_made: dict[int, tuple[Path, int]] = {}  # process id → its directory, and the descriptor that holds its lock


def process_directory() -> Path:
    """The directory of this process, which is created at the first call.

    A forked child gets its own, and so does a process that has become another user. UsageError if there can be none.
    """
    known = _made.get(os.getpid())
    if known is not None and own_files.is_private(known[0]):
        return known[0]
    _made.clear()
    _remove_abandoned()
    try:
        tempfile.gettempdir().encode()  # else it could be no part of SQL
        path, fd = _new()
    except UnicodeEncodeError:
        raise UsageError("the name of the temporary directory is not UTF-8: set TMPDIR") from None
    except OSError as error:
        raise UsageError(
            f"no temporary directory can be used ({error.strerror or error}): set TMPDIR to a directory with free space"
        ) from error
    _made[os.getpid()] = path, fd
    atexit.register(_remove, os.getpid(), path)
    return path


def _new() -> tuple[Path, int]:
    """A new directory, and the descriptor that holds its lock."""
    path, fd = Path(tempfile.mkdtemp(prefix=PREFIX)), -1
    try:
        fd = own_files.open_regular(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        _lock(fd)
        os.write(fd, MARK)
    except BaseException:  # the disk is full: nobody would recognise it as ours
        if fd >= 0:
            os.close(fd)
            os.unlink(path / LOCK)
        os.rmdir(path)
        raise
    return path, fd


@contextlib.contextmanager
def subdirectory(name: str = "") -> Iterator[Path]:
    """A new directory in that of this process, for files named by numbers. It is deleted at the end of the block.

    `name`: 32 hexadecimal digits. UsageError if it cannot be created.
    """
    path = process_directory() / (name or uuid.uuid4().hex)
    try:
        path.mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(f"{path} cannot be created: {error.strerror}") from error
    try:
        yield path
    finally:
        _delete_in(path)


def _remove_abandoned() -> None:
    """Remove the directories of processes that have ended: those of this user whose lock nobody holds."""
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if own_files.is_private(path):
                    fd = own_files.open_regular(path / LOCK, os.O_RDWR)
                    try:
                        if _lock(fd):
                            _delete(path)
                    finally:
                        os.close(fd)


def _delete(path: Path) -> None:
    """Delete what amllog made in a directory of its own, and the directory if nothing else is in it."""
    if own_files.read_bounded(path / LOCK, len(MARK)) != MARK:
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if _FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
            elif _DIRECTORY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _delete_in(Path(entry.path))
    if os.listdir(path) == [LOCK]:
        os.unlink(path / LOCK)
        os.rmdir(path)


def _delete_in(path: Path) -> None:
    for name in os.listdir(path):
        if _FILE_IN_IT.fullmatch(name):
            os.unlink(path / name)
        elif _RUN_IN_IT.fullmatch(name) and not (path / name).is_symlink():
            _delete_in(path / name)
    with contextlib.suppress(OSError):  # something else is in it
        os.rmdir(path)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):  # no such locks here
        return False
    return True


def _remove(process: int, path: Path) -> None:
    if os.getpid() == process:  # not in a forked child, which inherits the exit function
        with contextlib.suppress(OSError):
            _delete(path)
