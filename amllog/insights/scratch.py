"""The temporary directory of the reading side: one for each process, for this user alone.

In: nothing. Out: its path. It is removed when the process ends. A process that was killed leaves it behind; the next
process that needs one removes it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from amllog import own_files

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # the module or None

PREFIX = "amllog-read-"
LOCK = "lock"
_made: dict[int, tuple[Path, int]] = {}  # process id → its directory, and the descriptor that holds its lock


def folder() -> Path:
    """The directory of this process, which is created at the first call.

    A forked child gets its own, and so does a process that has become another user.
    """
    known = _made.get(os.getpid())
    if known is not None and own_files.is_private(known[0]):
        return known[0]
    _made.clear()
    _remove_left()
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    fd = own_files.open_regular(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    _lock(fd)
    _made[os.getpid()] = path, fd
    atexit.register(_remove, os.getpid(), path)
    return path


def _remove_left() -> None:
    """Remove the directories of processes that have ended: those of this user whose lock nobody holds."""
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if own_files.is_private(path):
                    fd = own_files.open_regular(path / LOCK, os.O_RDWR)
                    if _lock(fd):
                        shutil.rmtree(path, ignore_errors=True)
                    os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):  # no such locks here
        return False
    return True


def _remove(process: int, path: Path) -> None:
    if os.getpid() == process:  # not in a forked child, which inherits the exit function
        shutil.rmtree(path, ignore_errors=True)
