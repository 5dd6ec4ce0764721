"""Tests of the cost of a call, in called functions and compared with structlog's call.

Counts are the same on any machine, however busy. The bounds are generous. bench/run.py measures times.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONTENDERS = Path(__file__).parents[1] / "bench" / "contenders.py"


# Our call, its peer, and the maximum ratio. The ratio at the time of writing is in brackets.
BOUNDS = {
    "amllog_call": ("structlog_call", 3.5),  # (2.7)
    "amllog_stdlib": ("structlog_call", 5.0),  # (4.0: logging itself calls 50)
    "amllog_metric": ("amllog_call", 1.1),  # (0.9)
    "amllog_below": ("structlog_below", 2.0),  # (1.0)
}


def test_functions_called(child: Any) -> None:
    """No call of amllog calls more functions than its bound allows, in proportion to its peer."""
    ran = child(CONTENDERS, "counts", env={"COVERAGE_PROCESS_CONFIG": None, "COVERAGE_PROCESS_START": None})
    counts = json.loads(ran.stderr.splitlines()[-1])
    ratios = {ours: counts[ours] / counts[peer] for ours, (peer, _) in BOUNDS.items()}
    assert {ours: ratios[ours] for ours, (_, bound) in BOUNDS.items() if not 0 < ratios[ours] <= bound} == {}


def test_setup_sends_no_request(child: Any, azure: Any) -> None:
    """Outside a job, neither setup() nor the delivery worker sends a request, although there is a connection string."""
    code = "import amllog, os, time; amllog.setup(); time.sleep(1.2); os._exit(0)"
    ran = child(code, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(azure.requests_log) == []
