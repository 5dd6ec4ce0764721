"""Determine whether `multiprocessing` started this process."""

from __future__ import annotations

import multiprocessing
import os

# The fork server imports the main script, like its workers, but has no parent process. It is marked as a child during
# the import only. The process ids of such processes are kept, because a child that the script forks is not a worker.
_marked: set[int] = set()


def is_worker() -> bool:
    """Return whether `multiprocessing` started this process: a worker or its fork server.

    A process that was a worker when its main script was imported remains one.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        _marked.add(os.getpid())
    return os.getpid() in _marked or multiprocessing.parent_process() is not None
