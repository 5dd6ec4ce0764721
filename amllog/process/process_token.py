"""Identify this process among all others, in other containers of its machine as well."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.process import interrupts


def process_token(process: int | None = None) -> str:
    """Return the process id and the time of the start, which `exec` does not change. Format: `12.345`.

    Source of the time: field 22 of `/proc/self/stat` (proc(5)). Without it, only the id is returned.
    """
    return f"{process or os.getpid()}.{_start(process)}"


def started_at(process: int) -> int:
    """Return when a process started, in seconds since 1970. It is 0 if the system does not report it."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii", errors="replace").splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted + int(_start(process)) // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration) as error:
        interrupts.pass_on(error)
        return 0


def _start(process: int | None) -> str:
    """Return when a process started, in the clock ticks since the machine booted, or ""."""
    path = Path("/proc", str(process or "self"), "stat")
    try:
        return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError) as error:
        interrupts.pass_on(error)
        return ""
