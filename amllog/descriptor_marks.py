"""Marks an open file, so that one fast system call shows whether a descriptor still stands for it.

Linux keeps a number with each open file that files of the script do not have: the signal for asynchronous input and
output (F_SETSIG, `man 2 fcntl`). amllog never asks for that signal. A closed or reused descriptor has no such number.
`fstat` is as certain but slower: since Linux 6.13 each write after it changes the time stamps of the file once more.
"""

from __future__ import annotations

import itertools
import sys

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


__all__ = ["F_GETSIG", "fcntl", "marked"]
_FIRST, _LAST = 34, 64  # the real-time signals
_numbers = itertools.count()


def marked(fd: int) -> int:
    """Mark the open file of a descriptor; return the mark, or 0 where the system has no marks."""
    if not F_SETSIG:
        return 0
    mark = _FIRST + next(_numbers) % (_LAST - _FIRST + 1)
    try:
        fcntl(fd, F_SETSIG, mark)
        return mark if fcntl(fd, F_GETSIG) == mark else 0
    except (OSError, ValueError):
        return 0  # an emulation of Linux, or the file is closed: the next write finds that out
