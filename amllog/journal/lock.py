"""The lock of a segment, which its writer holds for as long as it lives, and the fallback by process id."""

from __future__ import annotations

import os
import string
from itertools import groupby
from pathlib import Path

from amllog.journal.signature import SEGMENT_NAME
from amllog.process.file_lock import try_lock
from amllog.process.interrupts import is_from_signal

_IN_NAMES = frozenset(string.ascii_letters + string.digits + "_.")


def lock(fd: int, path: Path | None = None, node: str = "") -> bool:
    """Take the file's lock. Without locks (Windows, some network file systems) a live writer is told by its name."""
    locked = try_lock(fd)
    if locked is not None:
        return locked
    return path is None or writer_is_gone(path.name, node)


def file_node(node: str) -> str:
    """A node's name as it stands in file names: each run of other characters becomes one `_`."""
    # Without a regular expression: to compile one takes longer than all else that `setup()` does with the name.
    parts = ("".join(part) if fits else "_" for fits, part in groupby(node, _IN_NAMES.__contains__))
    return "".join(parts)[:60] or "node"


def writer_is_gone(name: str, node: str) -> bool:
    """Whether the process in a segment's name ran on this node and runs no longer."""
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
