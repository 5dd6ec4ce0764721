"""Marks an open file, so that one fast system call shows whether a descriptor still stands for it.

Linux keeps a number with each open file that files of the script do not have: the signal for asynchronous input and
output (F_SETSIG, `man 2 fcntl`). amllog never asks for that signal. A closed or reused descriptor has no such number.
Programs that do ask for it use a real-time signal or SIGIO. So the marks are signals that report faults of a program.
`fstat` is as certain but slower: since Linux 6.13 each write after it changes the time stamps of the file once more.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from amllog.process import interrupts

if sys.platform == "linux":
    import fcntl as system
    from fcntl import fcntl

    F_GETSIG, F_SETSIG = (
        getattr(system, "F_GETSIG", 0),
        getattr(system, "F_SETSIG", 0),
    )  # not in every C library
else:
    F_GETSIG = F_SETSIG = 0

    def fcntl(fd: int, request: int, argument: int = 0, /) -> int:
        """Return 0: elsewhere no file has a mark, and `fstat` is used."""
        return 0


__all__ = [
    "F_GETSIG",
    "Identity",
    "close_if_same",
    "fcntl",
    "is_same",
    "read_identity",
    "remove_mark",
    "set_mark",
]

Identity = tuple[int, int]  # device and inode
_NAMES = "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"
_MARKS = [int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)]
_numbers = itertools.count(os.getpid())  # not the same mark first in each process


def set_mark(fd: int) -> int:
    """Mark the open file of a descriptor; return the mark, or 0 where the system has no marks."""
    if not F_SETSIG:
        return 0
    mark = _MARKS[next(_numbers) % len(_MARKS)]
    try:
        fcntl(fd, F_SETSIG, mark)
        return mark if fcntl(fd, F_GETSIG) == mark else 0
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        return 0  # an emulation of Linux, or the file is closed: the next write finds that out


def remove_mark(fd: int, mark: int) -> None:
    """Delete a mark from an open file that is not ours: another thread has put it in the place of ours."""
    with interrupts.suppress(OSError, ValueError):
        if fcntl(fd, F_GETSIG) == mark:
            fcntl(fd, F_SETSIG, 0)


def read_identity(fd: int) -> Identity:
    """The file behind a descriptor."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def is_same(fd: int, identity: Identity) -> bool:
    """Whether a descriptor still stands for this file."""
    if fd < 0:
        return False
    try:
        found = os.fstat(fd)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return False
    return (found.st_dev, found.st_ino) == identity


def close_if_same(fd: int, identity: Identity) -> None:
    """Close a descriptor if it still stands for this file. A number that the script uses for its own stays open."""
    if is_same(fd, identity):
        with interrupts.suppress(OSError):
            os.close(fd)
