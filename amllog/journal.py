"""What was accepted: append-only files, one line per record.

In: lines, appended with one `write` each, so that a killed process loses none that its calls returned from.
Out: True for a line that the operating system has; files within a bound of bytes. The format stands in docs/map.md.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from amllog.record import MAX_AGE_SECONDS, is_last_word, is_run_metric, key_of
from amllog.segment import Segment, claim, file_node, journal_files, lock

SEGMENT_BYTES = 64 * 1024 * 1024
PARTS = 8
TRIES = 100  # at a new file that nobody else has taken before it is locked
RESERVE_BYTES = 1024 * 1024  # of a full journal, at most a sixteenth: for exceptions and how the step ended
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Journal:
    """The files of this process: one that grows, and those before it that may still be read from."""

    def __init__(self, directory: Path, *, max_bytes: int, node: str, outlets: Sequence[str] = ()) -> None:
        self.directory = directory
        self.outlets = tuple(outlets)
        self.segments: list[Segment] = []
        self.unwritten: Counter[str] = Counter()  # what could not be written, by reason
        self._max_bytes = max_bytes
        self._reserve = min(RESERVE_BYTES, max_bytes // (2 * PARTS))
        self._bound = max_bytes - self._reserve
        self._lock = threading.RLock()  # re-entrant: a signal handler may log in the middle of making room
        self._look_again = 0.0
        self._room = self._size = 0
        self._torn = False
        self._former: tuple[bytes, Segment] | None = None  # the key of before, and the file of its lines
        self._node = file_node(node)
        self._fd = -1
        self._open()

    def append(self, line: bytes) -> bool:
        """Keep a line; True means that the operating system has it. False: counted in `unwritten`."""
        try:
            if self._size + len(line) > self._room and not self._make_room(line):
                self.unwritten["journal is full (journal_max_bytes)"] += 1
                return False
            fd, former = self._fd, self._former
            if former is not None and key_of(line) == former[0]:
                fd = former[1].fd  # it was on its way in another thread
            if self._torn:
                line = b"\n" + line
            written = os.write(fd, line)
        except OSError as error:
            self.unwritten[f"journal: {errno.errorcode.get(error.errno or 0, 'OSError')}"] += 1
            return False
        self._size += written
        if written < len(line):  # the disk took only a part: end that line before the next one
            self._torn = True
            self.unwritten["journal: ENOSPC"] += 1
            return False
        self._torn = False
        return True

    def turn(self, former: str = "") -> None:
        """Begin a new file, for records to another key than `former`: a file has one."""
        with self._lock:
            if self._size:
                # Before other threads see the new file.
                self._former = (former.encode(), self.segments[-1]) if former else None
                self._open()

    def tidy(self) -> None:
        """Let go of own segments that every outlet has settled, so that a long life does not fill the disk."""
        if len(self.segments) > 1 and directory_bytes(self.directory) > self._max_bytes // 2:
            for segment in self.segments[:-1]:
                if segment.size and is_done_with(segment, self.outlets):
                    segment.remove()

    def close(self) -> None:
        """Let go of all files; what waits in them is a leftover for the next process."""
        # A thread that still logs must not write into a file that others open under this number.
        self._fd, self._former = -1, None
        for segment in self.segments:
            segment.close()

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, self._fd = _new_file(self.directory, self._node)
        self.segments.append(Segment(path, self._fd))
        self._size, self._torn = 0, False
        # A part of the bound at most: only files that are not written to any more can make room.
        self._room = min(
            SEGMENT_BYTES, self._max_bytes // PARTS, self._bound - directory_bytes(self.directory)
        )

    def _make_room(self, line: bytes) -> bool:
        """A new segment, after removing the oldest settled files if the directory is at its bound.

        Raises OSError if there can be none.
        """
        wanted = len(line)
        with self._lock:
            if self._size + wanted <= self._room:
                return True  # another thread made it
            began = time.monotonic()
            if began < self._look_again:
                return self._dig(line)
            used = directory_bytes(self.directory)
            if used + wanted > self._bound:
                used -= self._remove_settled(used + wanted - self._bound)
            if used + wanted > self._bound:
                # With thousands of files a look takes its time, and it is the caller's.
                self._look_again = time.monotonic() + max(1.0, 50 * (time.monotonic() - began))
                return self._dig(line)
            if self._size:
                self._open()
            self._room = max(self._room, wanted)
            return True

    def expect_room(self) -> None:
        """Look again with the next record: something was just delivered."""
        self._look_again = 0.0

    def _dig(self, line: bytes) -> bool:
        """Take from the reserve of a full journal, if it is for such a line."""
        if not is_last_word(line) or len(line) > self._reserve:
            return False
        self._reserve -= len(line)
        self._room = self._size + len(line)
        return True

    def _remove_settled(self, excess: int) -> int:
        """Remove the oldest files that nobody wants any more, until `excess` bytes are free; how many are."""
        own = {segment.path: segment for segment in self.segments}
        freed = 0
        for path in journal_files(self.directory):
            if freed >= excess:
                break
            segment = own.get(path) or claim(path, self._node)
            if segment is None or segment is self.segments[-1]:
                continue
            if is_done_with(segment, self.outlets):
                freed += segment.size
                segment.remove()
            elif path not in own:
                segment.close()
        return freed


def is_done_with(segment: Segment, outlets: Sequence[str]) -> bool:
    """Whether nothing in the file is wanted any more: by these outlets, or by those that another process may have.

    What is addressed to no resource yet is wanted for as long as the service would take it.
    """
    if outlets and not segment.settled(outlets):
        return False
    sent = {
        name: segment.progress(name).to for name in ("app_insights", "run_metrics") if name not in outlets
    }
    keys = {key_of(line) for line in segment.rest(sent.get("app_insights", segment.size))}
    metrics = segment.rest(sent.get("run_metrics", segment.size))
    if keys - {None, b""} or any(map(is_run_metric, metrics)):
        return False
    return b"" not in keys or time.time() - segment.path.stat().st_mtime > MAX_AGE_SECONDS


def spare_directory() -> Path:
    """Where the journal goes when the directory meant for it cannot be written: one per user and folder.

    Raises OSError if there is none that is the user's own.
    """
    here = hashlib.sha256(os.getcwd().encode("utf-8", "surrogateescape")).hexdigest()[:12]
    user = getattr(os, "getuid", lambda: 0)()
    path = Path(tempfile.gettempdir(), f"amllog-{user}", here)
    path.parent.mkdir(exist_ok=True, mode=0o700)  # before it: as a parent it would have the umask's mode
    path.mkdir(exist_ok=True, mode=0o700)
    if hasattr(os, "getuid") and path.parent.stat().st_uid != user:
        raise PermissionError(errno.EPERM, "it belongs to another user")
    return path


def _new_file(directory: Path, node: str) -> tuple[Path, int]:
    """A new segment, open and locked: between the two, others may take it for one whose writer is gone."""
    for _ in range(TRIES):
        path = directory / name_for(node)
        fd = os.open(path, _CREATE, 0o600)
        if lock(fd) and path.exists():  # nobody looks into it now, and nobody has removed it
            return path, fd
        os.close(fd)
        with contextlib.suppress(OSError):
            path.unlink()
    raise OSError(errno.EAGAIN, "others hold the lock of every new file", str(directory))


def name_for(node: str) -> str:
    """A new segment's file name: sorts by time, tells node and process."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return f"{stamp}-{node}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"


def directory_bytes(directory: Path) -> int:
    """Bytes of the journal files in `directory`."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed meanwhile: takes no room
                total += entry.stat().st_size if entry.is_file(follow_symlinks=False) else 0
    return total
