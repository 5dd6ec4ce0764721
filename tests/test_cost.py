"""What a call costs must not grow unnoticed: counted in functions called, beside structlog's own call.

Counts are the same on any machine, however busy; the room is generous. Times are measured by bench/run.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONTENDERS = Path(__file__).parents[1] / "bench" / "contenders.py"


# ours → (peer, how many times as many calls at most); in brackets what it was when this was written
BOUNDS = {
    "amllog_call": ("structlog_call", 3.5),  # (2.7)
    "amllog_stdlib": ("structlog_call", 5.0),  # (4.0: logging itself calls 50)
    "amllog_metric": ("amllog_call", 1.1),  # (0.9)
    "amllog_below": ("structlog_below", 2.0),  # (1.0)
}


def test_functions_called(child: Any) -> None:
    """No call of ours calls many more functions than it did, in proportion to its peer's."""
    ran = child(CONTENDERS, "counts", env={"COVERAGE_PROCESS_CONFIG": None, "COVERAGE_PROCESS_START": None})
    found = json.loads(ran.stderr.splitlines()[-1])
    times = {ours: found[ours] / found[peer] for ours, (peer, _) in BOUNDS.items()}
    assert {ours: times[ours] for ours, (_, bound) in BOUNDS.items() if not 0 < times[ours] <= bound} == {}


def test_setup_asks_nobody(child: Any, azure: Any) -> None:
    """Outside a job, setup() makes no request, though there is a connection string; nor does the courier later."""
    code = "import amllog, os, time; amllog.setup(); time.sleep(1.2); os._exit(0)"
    ran = child(code, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(azure.requests_log) == []
