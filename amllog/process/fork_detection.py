"""Shows a process whether it was forked since, also by C code, which calls no fork hook of Python.

`page()[0]` is 1 in this process and 0 in each process that is forked from it. Linux empties such a page in the child
(MADV_WIPEONFORK, `man 2 madvise`, since Linux 4.14). Elsewhere the process id is compared, which is a system call.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Protocol

from amllog.process import interrupts

_MADV_WIPEONFORK = 18


class Page(Protocol):
    """A page of memory, or an object that stands in for it."""

    def __getitem__(self, index: int, /) -> int:
        """Item 0: 1 in the process that made the page, 0 in a child."""


class _ProcessId:
    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, index: int, /) -> int:
        return int(os.getpid() == self._pid)


def page() -> Page:
    """Return a page that belongs to this process alone."""
    if sys.platform != "linux":
        return _ProcessId()
    found = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        found.madvise(_MADV_WIPEONFORK)
    except OSError as error:
        interrupts.pass_on(error)
        found.close()
        return _ProcessId()
    found[0] = 1
    return found
