"""The only writer of files of the far side: append-only lines, and blobs under hashed names.

In: names and values as clients send them. Out: files directly in the far side's directory, and nowhere else:
no name that a client sends ever becomes part of a path. Directories and files are for this user only. A symbolic
link, a FIFO or another user's file in the place of one of them is an OSError, or is left out when it is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import orjson


def new_file_name() -> str:
    """A file name that no other process takes: `<UTC stamp>-local-<pid>-<4 hex>`."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-local-{os.getpid()}-{secrets.token_hex(2)}"


def create(path: Path, *, exclusive: bool = False) -> BinaryIO:
    """Open a file of this user's for appending; it is created if needed, or must be new if `exclusive`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_EXCL if exclusive else 0)
    return os.fdopen(_open(path, flags), "ab", buffering=0)


def read(path: Path) -> bytes:
    """The bytes of a file of this user's; OSError if it is anything else."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        return file.read()


def put(path: Path, fresh: Path, data: bytes) -> None:
    """Write a file under a fresh name and rename it. If that fails, as on a full disk, nothing is left."""
    with create(fresh, exclusive=True) as file:
        try:
            _write(file, data)
            os.replace(fresh, path)
        except BaseException:  # Ctrl-C too
            fresh.unlink()
            raise


def _is_torn(path: Path) -> bool:
    """Whether the last line of a file does not end."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _write(file: BinaryIO, data: bytes) -> None:
    """Write everything: a write without a buffer may take a part."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def is_own_file(path: Path) -> bool:
    """Whether it is a regular file of this user's, and no link."""
    try:
        return _is_own(os.lstat(path), stat.S_ISREG)
    except OSError:
        return False


def prepare_directory(directory: Path) -> None:
    """Create the server's directory for this user only, or accept one of this user's or root's (else OSError).

    Root may use any directory: in containers it works in directories of other users.
    """
    if not directory.is_dir():
        directory.mkdir(0o700, parents=True)
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if user and directory.stat().st_uid not in (user, 0):
        raise PermissionError(errno.EPERM, "a directory of another user", str(directory))


def make_private_directory(directory: Path) -> None:
    """Create a directory for this user only; one that exists must be this user's and no link (else OSError)."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(0o700)
    if not _is_own(os.lstat(directory), stat.S_ISDIR):
        raise PermissionError(errno.EPERM, "not a directory of this user's", str(directory))
    os.chmod(directory, 0o700)


def _open(path: Path, flags: int) -> int:
    """A descriptor; what is behind it is checked after opening."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):  # Windows has none of them
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o600)
    if not _is_own(os.fstat(descriptor), stat.S_ISREG):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a regular file of this user's", str(path))
    return descriptor


def _is_own(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    user = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    return is_kind(found.st_mode) and found.st_uid == user


class JsonLinesFile:
    """An append-only file of JSON lines; one write per batch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = create(path)
        if _is_torn(path):  # by the kill of the process before
            self._file.write(b"\n")

    def append(self, values: Iterable[object]) -> None:
        """Write each value as one line: all of them, or none with an OSError."""
        text = b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)
        with self._lock:
            if self._file.closed:
                raise BrokenPipeError(f"{self.path.name} is closed: the far side has stopped")
            begin = os.fstat(self._file.fileno()).st_size
            try:
                _write(self._file, text)
            except BaseException:  # Ctrl-C too
                # Who gets an error sends the whole batch again, and the next line must not follow a torn one.
                self._file.truncate(begin)
                raise

    def close(self) -> None:
        """No more lines."""
        with self._lock:
            self._file.close()


def read_lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects in files of JSON lines, oldest file first; a torn line is left out."""
    for path in filter(is_own_file, sorted(paths)):
        for line in read(path).splitlines():
            try:
                value = orjson.loads(line)
            except ValueError:
                continue  # the process that wrote it was killed in the middle
            if isinstance(value, dict):
                yield value


class BlobFiles:
    """Bytes under names that clients choose; each name is hashed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)

    def path(self, name: str) -> Path:
        """Where a blob of this name is kept."""
        return self._directory / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, name: str, body: bytes) -> Path:
        """Keep these bytes, in place of what was there, all or nothing."""
        path = self.path(name)
        put(path, path.with_name(f".{secrets.token_hex(8)}"), body)
        return path

    def read(self, name: str) -> bytes:
        """The bytes, or nothing if there are none."""
        path = self.path(name)
        return read(path) if is_own_file(path) else b""

    def size(self, name: str) -> int:
        """How many bytes there are; -1 if the name was never written."""
        path = self.path(name)
        return path.stat().st_size if is_own_file(path) else -1
