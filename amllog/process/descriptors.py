"""Mark an open file, so that one fast system call shows whether a descriptor still refers to it.

A script may close any descriptor and open other files under its number. Linux stores a number with each open file that
is free for a mark: the signal for asynchronous input and output (F_SETSIG, `man 2 fcntl`). amllog never requests that
signal. A closed or reused descriptor does not have the number. Programs that request the signal use a real-time signal
or SIGIO, so the marks are signals that report faults of a program. `fstat` is as reliable but slower. Since Linux
6.13, each write after it updates the time stamps of the file once more.
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

    # Not every C library has them.
    F_GETSIG, F_SETSIG = getattr(system, "F_GETSIG", 0), getattr(system, "F_SETSIG", 0)
else:
    F_GETSIG = F_SETSIG = 0

    def fcntl(fd: int, request: int, argument: int = 0, /) -> int:
        """Return 0: other systems have no marks, and `fstat` is used."""
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
_numbers = itertools.count(os.getpid())  # the first mark differs from process to process


def set_mark(fd: int) -> int:
    """Mark the open file of a descriptor. Return the mark, or 0 if the system does not support marks."""
    if not F_SETSIG:
        return 0
    mark = _MARKS[next(_numbers) % len(_MARKS)]
    try:
        fcntl(fd, F_SETSIG, mark)
        return mark if fcntl(fd, F_GETSIG) == mark else 0
    except (OSError, ValueError) as error:
        interrupts.pass_on(error)
        return 0  # an emulation of Linux, or a closed file, which the next write detects


def remove_mark(fd: int, mark: int) -> None:
    """Delete a mark from an open file of the script, which another thread has opened under the descriptor's number."""
    with interrupts.suppress(OSError, ValueError):
        if fcntl(fd, F_GETSIG) == mark:
            fcntl(fd, F_SETSIG, 0)


def read_identity(fd: int) -> Identity:
    """Return the device and inode of the file that a descriptor refers to."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def is_same(fd: int, identity: Identity) -> bool:
    """Return whether a descriptor still refers to this file."""
    if fd < 0:
        return False
    try:
        status = os.fstat(fd)
    except OSError as error:
        if interrupts.is_from_signal(error):
            raise
        return False
    return (status.st_dev, status.st_ino) == identity


def close_if_same(fd: int, identity: Identity) -> None:
    """Close a descriptor if it still refers to this file. Otherwise it belongs to the script and stays open."""
    if is_same(fd, identity):
        with interrupts.suppress(OSError):
            os.close(fd)
