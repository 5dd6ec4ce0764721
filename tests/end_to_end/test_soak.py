"""The soak of bench/soak.py, in short: faults come and go, and every promise holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SOAK = Path(__file__).parent.parent.parent / "bench" / "soak.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and files are read from /proc")
def test_soak(child: Any) -> None:
    """Twenty seconds of faults: memory flat, files and threads bounded, the account exact, the exit in time."""
    ran = child([sys.executable, str(SOAK), "--minutes", "0.33", "--rate", "1000"], timeout=900)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("| yes |") == 7
