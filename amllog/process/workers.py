"""Determine whether `multiprocessing`, a package with its interface, or another framework started this process."""

from __future__ import annotations

import multiprocessing.process  # noqa: F401  it is in sys.modules, where the families are looked up
import os
import sys
from types import FrameType, ModuleType

from amllog.process.worker_programs import worker_program

# multiprocessing, its copy for dill (pathos), and the one of Celery. They have the same modules.
_FAMILIES = ("multiprocessing", "multiprocess", "billiard")
# The fork server imports the main script and the modules to preload, like its workers, but has no parent process. It
# is recognized during these imports only. The process ids of such processes are kept, because a child that the script
# forks is not a worker.
_marked: set[int] = set()


def family_modules(name: str) -> list[ModuleType]:
    """Return the loaded modules of one name: `family_modules("util")` has `multiprocessing.util`, if it is loaded."""
    modules = (sys.modules.get(f"{family}.{name}") for family in _FAMILIES)
    return [module for module in modules if module is not None]


def is_worker() -> bool:
    """Return whether a framework started this process: a worker, or a process that forks workers.

    A process that was a worker when its main script was imported remains one.
    """
    processes = [module.current_process() for module in family_modules("process")]
    if any(getattr(process, "_inheriting", False) for process in processes) or _is_in_fork_server():
        _marked.add(os.getpid())
    return (
        os.getpid() in _marked
        or any(getattr(process, "_parent_pid", None) is not None for process in processes)
        or worker_program() != ""
    )


def _is_in_fork_server() -> bool:
    """Return whether the fork server runs this code, which it does when it imports the modules to preload."""
    servers = [vars(module) for module in family_modules("forkserver")]
    frame: FrameType | None = sys._getframe() if servers else None
    while frame is not None:
        if frame.f_code.co_name == "main" and any(frame.f_globals is names for names in servers):
            return True
        frame = frame.f_back
    return False
