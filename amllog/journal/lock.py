"""The lock of a segment, which its writer holds until it ends, and the fallback by process id."""

from __future__ import annotations

import os
import string
import time
from itertools import groupby
from pathlib import Path

from amllog.journal.signature import SEGMENT_NAME
from amllog.process.file_lock import try_lock
from amllog.process.interrupts import is_from_signal

_AGAIN_SECONDS = 0.5  # how long `lock_again` waits
_IN_NAMES = frozenset(string.ascii_letters + string.digits + "_.")


def lock(fd: int, path: Path | None = None, node: str = "") -> bool:
    """Acquire the file's lock. Return whether this process has it.

    Where there are no locks (Windows, some network file systems), the process id in the name decides.
    """
    locked = try_lock(fd)
    if locked is not None:
        return locked
    return path is None or writer_is_gone(path.name, node)


def lock_again(fd: int) -> bool:
    """Acquire the lock that a descriptor held which the script has closed. Return whether this process has it.

    Linux closes the descriptors of a closerange() first and releases their locks at its end, in another thread of the
    script.
    """
    deadline = time.monotonic() + _AGAIN_SECONDS
    while not lock(fd):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def file_node(node: str) -> str:
    """Return a node's name for file names, with each run of other characters replaced by `_`."""
    # Not a regular expression: compiling one takes longer than everything else that `setup()` does with the name.
    parts = ("".join(part) if fits else "_" for fits, part in groupby(node, _IN_NAMES.__contains__))
    return "".join(parts)[:60] or "node"


def writer_is_gone(name: str, node: str) -> bool:
    """Return whether the process in a segment's name was on this node and has ended."""
    match = SEGMENT_NAME.match(name)
    if match is None or match["node"] != file_node(node):
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError) as error:
        if is_from_signal(error):
            raise
    return False
