"""Whether `multiprocessing` started this process."""

from __future__ import annotations

import multiprocessing


def is_worker() -> bool:
    """Whether multiprocessing started this process; also while a spawned one still imports the main script."""
    inheriting = getattr(multiprocessing.current_process(), "_inheriting", False)
    return bool(inheriting) or multiprocessing.parent_process() is not None
