"""A short run of bench/soak.py, which logs while the service fails in changing ways."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SOAK = Path(__file__).parent.parent.parent / "bench" / "soak.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and files are read from /proc")
def test_soak(child: Any) -> None:
    """With changing faults, memory, files and threads are bounded, the account is exact, and the exit is in time."""
    ran = child([sys.executable, str(SOAK), "--minutes", "0.33", "--rate", "1000"], timeout=900)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("| yes |") == 7
