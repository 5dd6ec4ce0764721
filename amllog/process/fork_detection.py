"""Detect in a child that its process was forked, also by C code, which does not call Python's fork hooks.

`create_page()[0]` is 1 in this process and 0 in each process that is forked from it. Linux clears such a page in the
child (MADV_WIPEONFORK, `man 2 madvise`, since Linux 4.14). Other systems compare the process id, which is a system
call.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Protocol

from amllog.process import interrupts

_MADV_WIPEONFORK = 18


class Page(Protocol):
    """A page of memory, or an object with the same interface."""

    def __getitem__(self, index: int, /) -> int:
        """Return 1 for item 0 in the process that created the page, and 0 in a child."""


class _ProcessId:
    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, index: int, /) -> int:
        return int(os.getpid() == self._pid)


def create_page() -> Page:
    """Return a new page, whose item 0 is 1 in this process only."""
    if sys.platform != "linux":
        return _ProcessId()
    memory = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(_MADV_WIPEONFORK)
    except OSError as error:
        interrupts.pass_on(error)
        memory.close()
        return _ProcessId()
    memory[0] = 1
    return memory
