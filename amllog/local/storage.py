"""Append-only JSON lines, and blobs under hashed names: the only writer of files of the local Azure.

No name that a client sends becomes part of a path, so a client cannot write outside of the directory. Directories and
files are accessible for this user only. A symbolic link, a FIFO or a file of another user in place of one of them
raises OSError when it is written, and is ignored when it is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from amllog.process import file_lock


def new_file_name() -> str:
    """Return a file name that no other process uses: `<UTC time>-local-<pid>-<4 hex digits>`."""
    time = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{time}-local-{os.getpid()}-{secrets.token_hex(2)}"


def open_for_append(path: Path, *, exclusive: bool = False) -> BinaryIO:
    """Open a file of this user for appending. It is created if needed. With `exclusive`, it must not exist."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_EXCL if exclusive else 0)
    return os.fdopen(_open(path, flags), "ab", buffering=0)


def read_file(path: Path) -> bytes:
    """Return the content of a file of this user. Raises OSError if it is not a regular file of this user."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        return file.read()


def replace_file(path: Path, temporary: Path, data: bytes) -> None:
    """Write a new file and rename it to `path`. If that fails, for example on a full disk, no file remains."""
    with open_for_append(temporary, exclusive=True) as file:
        try:
            _write(file, data)
            os.replace(temporary, path)
        except BaseException:  # Ctrl-C too
            temporary.unlink()
            raise


def _is_torn(path: Path) -> bool:
    """Return whether the last line of a file has no line feed."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`. An unbuffered write may write a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def is_own_file(path: Path) -> bool:
    """Return whether `path` is a regular file of this user and not a link."""
    try:
        return _is_own(os.lstat(path), stat.S_ISREG)
    except OSError:
        return False


def prepare_directory(directory: Path) -> None:
    """Create the directory of the server for this user only. An existing one must belong to this user or root.

    Raises OSError otherwise. Root may use any directory, because in containers it works in directories of other users.
    """
    if not directory.is_dir():
        directory.mkdir(0o700, parents=True)
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if user and directory.stat().st_uid not in (user, 0):
        raise PermissionError(errno.EPERM, "a directory of another user", str(directory))


def make_private_directory(directory: Path) -> None:
    """Create a directory for this user only. Raises OSError if a link or a directory of another user exists."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(0o700)
    if not _is_own(os.lstat(directory), stat.S_ISDIR):
        raise PermissionError(errno.EPERM, "not a directory of this user", str(directory))
    os.chmod(directory, 0o700)


def _open(path: Path, flags: int) -> int:
    """Open a file and return its descriptor. The file is checked after opening, so that nobody can replace it."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):  # Windows has none of them
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o600)
    if not _is_own(os.fstat(descriptor), stat.S_ISREG):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a regular file of this user", str(path))
    return descriptor


def _is_own(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    user = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
    return is_kind(status.st_mode) and status.st_uid == user


class JsonLinesFile:
    """An append-only file of JSON lines, with one write per batch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = open_for_append(path)
        if _is_torn(path):  # the previous process was killed while it wrote
            self._file.write(b"\n")

    def append(self, values: Iterable[object]) -> None:
        """Append each value as one line. If an OSError is raised, no line was appended."""
        text = b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)
        with self._lock:
            if self._file.closed:
                raise BrokenPipeError(f"{self.path.name} is closed: the local Azure has stopped")
            begin = os.fstat(self._file.fileno()).st_size
            try:
                _write(self._file, text)
            except BaseException:  # Ctrl-C too
                # The client sends the whole batch again, and the next line must not continue a torn one.
                self._file.truncate(begin)
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


class LockedLines:
    """A new file of encoded lines in a directory of others. Its lock shows that its writer continues.

    Another process may lock the file before its writer does, and then regards it as its own. So a file without the
    lock is left empty, and deleted.
    """

    def __init__(self, directory: Path) -> None:
        prepare_directory(directory)
        for _ in range(10):
            self.path = directory / f"{new_file_name()}.jsonl"
            self._file = open_for_append(self.path, exclusive=True)
            if file_lock.try_lock(self._file.fileno()) is not False:  # None: a file system without locks
                return
            self.path.unlink()
            self._file.close()
        raise OSError(errno.EAGAIN, "another process locks each new file", str(directory))

    def append(self, lines: Iterable[bytes]) -> None:
        """Append lines, each with its line feed. If an OSError is raised, no line was appended."""
        begin = os.fstat(self._file.fileno()).st_size
        try:
            _write(self._file, b"".join(lines))
        except BaseException:  # Ctrl-C too
            self._file.truncate(begin)
            raise

    def close(self) -> None:
        """Close the file, which releases the lock."""
        self._file.close()


def read_lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield the objects in files of JSON lines, the oldest file first. Torn lines are skipped."""
    for path in filter(is_own_file, sorted(paths)):
        for line in read_file(path).splitlines():
            try:
                value = orjson.loads(line)
            except ValueError:
                continue  # its writer was killed
            if isinstance(value, dict):
                yield value


class BlobFiles:
    """Files of bytes under names that clients choose. The name of a file is the hash of its name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)

    def path(self, name: str) -> Path:
        """Return the path of the blob with this name."""
        return self._directory / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, name: str, body: bytes) -> Path:
        """Write or replace a blob atomically."""
        path = self.path(name)
        replace_file(path, path.with_name(f".{secrets.token_hex(8)}"), body)
        return path

    def add(self, name: str, source: Path) -> None:
        """Add a file as a blob: as a second name of it, or as a copy where the file system has no links."""
        path = self.path(name)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            try:
                os.link(source, temporary, follow_symlinks=False)
            except OSError:
                shutil.copyfile(source, temporary, follow_symlinks=False)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def join(self, name: str, parts: Sequence[str]) -> None:
        """Replace a blob by the blobs `parts`, one after the other, and delete these."""
        path = self.path(name)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with open_for_append(temporary, exclusive=True) as file:
                for part in parts:
                    _write(file, self.read(part))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        for part in parts:
            self.path(part).unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """Return the content of a blob, or b"" if it does not exist."""
        path = self.path(name)
        return read_file(path) if is_own_file(path) else b""

    def size(self, name: str) -> int:
        """Return the size of a blob in bytes, or -1 if it does not exist."""
        path = self.path(name)
        return path.stat().st_size if is_own_file(path) else -1
