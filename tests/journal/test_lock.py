"""The fallback of the lock by process id."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from amllog.journal.lock import writer_is_gone


def test_the_process_id_decides_without_locks(tmp_path: Path) -> None:
    """If a file system has no locks, the process id in the name shows whether the writer runs on this node."""

    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert writer_is_gone(f"20260101T000000-n-{process.pid}-0a0a0a.jsonl", "n")
    assert not writer_is_gone(f"20260101T000000-n-{os.getpid()}-0a0a0a.jsonl", "n")
    assert not writer_is_gone(f"20260101T000000-other-{process.pid}-0a0a0a.jsonl", "n")
    assert not writer_is_gone("foreign.jsonl", "n")
