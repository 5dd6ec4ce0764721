"""Determine whether `multiprocessing` started this process."""

from __future__ import annotations

import multiprocessing
import os

# The fork server imports the main script, as its workers do, and has no parent process. It has a mark during the import
# only. So the process ids of marked processes are kept: a child that the script forks itself is no worker.
_marked: set[int] = set()


def is_worker() -> bool:
    """Return whether `multiprocessing` started this process: a worker or its fork server.

    A process that was a worker when its main script was imported remains one.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        _marked.add(os.getpid())
    return os.getpid() in _marked or multiprocessing.parent_process() is not None
