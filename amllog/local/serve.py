"""Azure on this machine as a command: runs until it is interrupted.

In: a directory, a port. Out: on the given stream, the lines that a shell needs to find it.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import uuid
from pathlib import Path
from types import FrameType
from typing import TextIO

from amllog.local.azure import AzureOnThisMachine


def serve(
    directory: str | Path,
    port: int = 0,
    *,
    strict: bool = True,
    run_id: str | None = None,
    step_name: str = "step",
    experiment_name: str = "local",
    out: TextIO | None = None,
) -> None:
    """Answer until SIGINT or SIGTERM; print the connection string and the lines to export for one run."""
    stopped = threading.Event()
    out = out or sys.stdout

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with AzureOnThisMachine(directory, port=port, strict=strict) as azure:
            run = run_id or f"local_{uuid.uuid4()}"
            environment = azure.job_environment(
                run_id=run, step_name=step_name, experiment_name=experiment_name
            )
            lines = [
                f"# Azure on this machine: {azure.url}, what arrives is in {azure.directory}",
                f"# connection string: {azure.connection_string}",
                f"# in the shell of your script, to be run {run}:",
                *(f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())),
                "# to ask insights what arrived, in another shell:",
                f"# export AMLLOG_QUERY_ENDPOINT={azure.query_endpoint} AMLLOG_RESOURCE_ID={azure.resource_id}",
                "# stop with Ctrl-C",
            ]
            out.write("\n".join(lines) + "\n")
            out.flush()
            while not stopped.wait(0.5):
                pass  # a wait without end would keep signals waiting on some platforms
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
