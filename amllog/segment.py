"""One journal file as its readers see it: lines from any position, acknowledgements, its lock.

In: a path. Out: whole lines, how far each outlet has settled them, and whether the writer is gone. The format stands
in docs/map.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from amllog import acknowledgements
from amllog.acknowledgements import Progress
from amllog.record import key_of

try:
    import fcntl
except ImportError:  # Windows has none: there, a leftover is told by its process alone
    fcntl = None  # type: ignore[assignment]  # the module or None

_CHUNK_BYTES = 2 * 1024 * 1024
_LINE_BYTES = 64 * 1024  # the most that a line has
_NAME = re.compile(r"^\d{8}T\d{6}-(?P<node>.*)-(?P<pid>\d+)-[0-9a-f]{4,8}\.jsonl$")


class Segment:
    """One journal file as its readers see it; whoever holds its lock may acknowledge."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._acks = path.with_suffix(".ack")
        self._ack_fd: int | None = None
        self._progress = acknowledgements.read(self._acks)
        self._counted = (0, 0)  # lines in the first so many bytes
        self.unnoted = ""  # why an acknowledgement could not be written, if one could not
        self._keyless = 0  # bytes without any instrumentation key
        self._key = b""

    @property
    def fd(self) -> int:
        """The file's descriptor; -1 once it is removed or closed."""
        return self._fd

    @property
    def size(self) -> int:
        """Bytes in the file now; 0 once it is removed or closed, also by others."""
        with contextlib.suppress(OSError):
            return os.fstat(self._fd).st_size if self._fd >= 0 else 0
        return 0

    def progress(self, outlet: str) -> Progress:
        """How far `outlet` is."""
        return self._progress.setdefault(outlet, Progress())

    def settled(self, outlets: Sequence[str]) -> bool:
        """Whether nothing in the file waits for any of `outlets`."""
        progresses = [self.progress(outlet) for outlet in outlets]
        return not any(p.again or self.lines(p.to, _LINE_BYTES) for p in progresses)

    def lines(self, start: int, max_bytes: int = _CHUNK_BYTES) -> list[bytes]:
        """Whole lines from `start` on, newline included, about `max_bytes` of them; [] at the end."""
        data = self._read(max_bytes, start)
        while data and b"\n" not in data:
            more = self._read(max(max_bytes, len(data)), start + len(data))
            if not more:
                return []  # torn, or half written: no line yet
            data += more
        return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)

    def key(self) -> bytes:
        """The instrumentation key that the lines are addressed to; b"" while none has any. A file has one."""
        while not self._key:
            start = self._keyless
            lines = self.lines(start)
            if not lines:
                break
            self._key = next((key for key in map(key_of, lines) if key), b"")
            self._keyless = start + sum(map(len, lines))  # no `+=`: flush() asks beside the courier
        return self._key

    def line(self, offset: int) -> bytes:
        """The line that begins at `offset`; empty if there is none."""
        found = self.lines(offset, _LINE_BYTES)
        return found[0] if found else b""

    def rest(self, start: int) -> Iterator[bytes]:
        """Every whole line from `start` to the end."""
        while True:
            lines = self.lines(start)
            if not lines:
                return
            yield from lines
            start += sum(map(len, lines))

    def count(self) -> int:
        """How many lines the file has; remembers what it has counted."""
        lines, end = self._counted
        while True:
            data = self._read(_CHUNK_BYTES, end)
            whole = data.rfind(b"\n") + 1
            if not whole:
                return lines
            lines, end = lines + data.count(b"}\n", 0, whole), end + whole  # a torn line was not accepted
            self._counted = lines, end

    def acknowledge(
        self, outlet: str, to: int, delivered: int, refused: Counter[str], again: Sequence[int]
    ) -> None:
        """Write down a batch's verdicts. A kill before this line sends the batch again, with the same ids."""
        entry = {"outlet": outlet, "to": to, "delivered": delivered}
        if refused:
            entry["refused"] = dict(refused)
        if again:
            entry["again"] = list(again)
        said = json.dumps(entry).encode() + b"\n"
        try:
            fd = self._ack_fd
            if fd is None:
                fd = self._ack_fd = os.open(self._acks, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                size = os.fstat(fd).st_size
                if size and _pread(fd, 1, size - 1) != b"\n":  # a kill has torn its last line
                    os.write(fd, b"\n")
            os.write(fd, said)
        except OSError as error:  # no folder, a full disk: known here, and sent again by the next
            self.unnoted = error.strerror or type(error).__name__
        # Only now, and `to` last: who waits for it ends the process then, or removes the file.
        progress = self.progress(outlet)
        progress.delivered += delivered
        progress.refused += refused
        progress.again = list(again)
        progress.to = to

    def remove(self) -> None:
        """Delete the file; what it held and what was settled of it stays known."""
        self.count()
        for file in (self.path, self._acks):
            with contextlib.suppress(OSError):
                file.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file and its lock."""
        fds = self._fd, self._ack_fd
        self._fd, self._ack_fd = -1, None  # first: others may open files under these numbers
        for fd in fds:
            if fd is not None and fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)

    def _read(self, count: int, start: int) -> bytes:
        """Bytes from `start` on; none at the end, and none once the file is closed, also by another thread."""
        fd = self._fd
        try:
            return _pread(fd, count, start) if fd >= 0 else b""
        except OSError:
            if self._fd < 0:
                return b""
            raise


def leftovers(
    directory: Path, node: str, outlets: Sequence[str], settled: set[str] | None = None
) -> Iterator[Segment]:
    """The files in `directory` whose writers are gone and in which something waits for `outlets`, oldest first.

    Each is locked by us while it is yielded; the caller closes it. `settled` keeps the names of those in which nothing
    waits: without a writer they stay so, and need not be opened again.
    """
    known = set() if settled is None else settled
    for path in journal_files(directory):
        if path.name in known or not (segment := claim(path, node)):
            continue
        if segment.settled(outlets):
            if segment.size:  # what is empty may be about to get its writer
                known.add(path.name)
            segment.close()
        else:
            yield segment


def journal_files(directory: Path) -> list[Path]:
    """The journal files of a directory, by name: that is by the time at which they began."""
    return sorted(directory.glob("*.jsonl"))


def claim(path: Path, node: str) -> Segment | None:
    """The segment at `path`, locked; None while another process holds it or if it is gone."""
    try:  # for reading; but over NFS only who could write gets the lock
        fd = os.open(path, os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY)
    except OSError:
        return None
    # Between the two, who held it may have removed the file, and what was noted of it.
    if stat.S_ISREG(os.fstat(fd).st_mode) and lock(fd, path, node) and path.exists():
        return Segment(path, fd)
    os.close(fd)
    return None


def look(path: Path) -> Segment | None:
    """The segment at `path` for reading only, whoever holds it; None if it is gone."""
    try:
        segment = Segment(path, os.open(path, os.O_RDONLY))
    except OSError:
        return None
    if path.exists():
        return segment
    segment.close()  # removed meanwhile, perhaps before what was noted of it was read
    return None


def lock(fd: int, path: Path | None = None, node: str = "") -> bool:
    """Take the file's lock. Without locks (Windows, some network file systems) a live writer is told by its name."""
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            pass  # this file system has no locks: judge by the name below
    return path is None or _writer_is_gone(path.name, node)


def file_node(node: str) -> str:
    """A node's name as it stands in file names."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", node)[:60] or "node"


def _writer_is_gone(name: str, node: str) -> bool:
    match = _NAME.match(name)
    if match is None or match["node"] != file_node(node):
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


if hasattr(os, "pread"):
    _pread = os.pread
else:  # Windows

    def _pread(fd: int, count: int, offset: int) -> bytes:
        with open(fd, "rb", closefd=False, buffering=0) as file:
            file.seek(offset)
            return file.read(count)
