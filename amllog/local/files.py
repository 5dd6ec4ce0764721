"""The only writer of files of the far side: append-only lines, and blobs under hashed names.

In: names and values as clients send them. Out: files directly in the far side's directory, and nowhere else:
no name that a client sends ever becomes part of a path.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import orjson


def stamped_name() -> str:
    """A file name that no other process takes: `<UTC stamp>-local-<pid>-<4 hex>`."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-local-{os.getpid()}-{secrets.token_hex(2)}"


def create(path: Path, mode: int = 0o600) -> BinaryIO:
    """Open a file for appending, made if it is not there; a symbolic link in its place is refused."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, mode), "ab", buffering=0)


class Lines:
    """An append-only file of JSON lines; one write per batch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = create(path)

    def append(self, values: Iterable[object]) -> None:
        """Write each value as one line."""
        text = b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)
        with self._lock:
            if self._file.closed:
                raise BrokenPipeError(f"{self.path.name} is closed: the far side has stopped")
            self._file.write(text)

    def close(self) -> None:
        """No more lines."""
        with self._lock:
            self._file.close()


def read_lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The objects in files of JSON lines, oldest file first; a torn line is left out."""
    for path in sorted(paths):
        for line in path.read_bytes().splitlines():
            try:
                value = orjson.loads(line)
            except ValueError:
                continue  # the process that wrote it was killed in the middle
            if isinstance(value, dict):
                yield value


class Blobs:
    """Bytes under names that clients choose; each name is hashed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where a blob of this name is kept."""
        return self._directory / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, name: str, body: bytes) -> Path:
        """Keep these bytes, in place of what was there, all or nothing."""
        path = self.path(name)
        fresh = path.with_name(f".{secrets.token_hex(8)}")
        with create(fresh) as file:
            file.write(body)
        os.replace(fresh, path)
        return path

    def read(self, name: str) -> bytes:
        """The bytes, or nothing if there are none."""
        path = self.path(name)
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""

    def size(self, name: str) -> int:
        """How many bytes there are; -1 if the name was never written."""
        path = self.path(name)
        return path.stat().st_size if path.is_file() and not path.is_symlink() else -1
