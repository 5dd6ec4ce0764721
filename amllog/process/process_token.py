"""Identify this process among all others, in other containers of its machine as well."""

from __future__ import annotations

import os
from pathlib import Path

from amllog.process import interrupts


def process_token() -> str:
    """Return the process id and the time of the start, which `exec` does not change. Format: `12.345`.

    Source of the time: field 22 of `/proc/self/stat` (proc(5)). Without it, only the id is returned.
    """
    try:
        started = (
            Path("/proc/self/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    except (OSError, IndexError) as error:
        interrupts.pass_on(error)
        started = ""
    return f"{os.getpid()}.{started}"
