"""The wait of a step for the records of its workers."""

from __future__ import annotations

from typing import Any

import pytest

# A worker logs a record, and is killed when the step has ended and closes its pipe.
STEP = """
import subprocess, sys
import amllog
log = amllog.setup(driver_level="CRITICAL")
log.info("parent")
worker = subprocess.Popen([sys.executable, "-c", {worker!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
while worker.stdout.readline() != "logged\\n": pass
{end}
"""
WORKER = """
import os, signal, sys
import amllog
amllog.get_logger().info("worker")
print("logged", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["", "amllog.shutdown(300)"])
def test_killed_at_the_end(child: Any, azure: Any, end: str) -> None:
    """A worker that its framework kills at the end of the step has delivered its records."""
    environ = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_GRACE_SECONDS": "300",
    }
    ran = child(STEP.format(worker=WORKER, end=end), env=environ)
    messages = [one["data"]["baseData"].get("message") for one in azure.envelopes]
    assert (sorted(filter(None, messages)), ran.stderr) == (["parent", "worker"], "")
