"""Azure on this machine as a command: runs until it is interrupted.

In: a directory, a port. Out: on the given stream, the lines that a shell needs to find it.
"""

from __future__ import annotations

import os
import shlex
import signal
import stat
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
    """Answer until SIGINT or SIGTERM; print the connection string and the lines to export for one run.

    The lines contain the tokens. If `out` is a new file that others may read, it is made readable for this user only.
    """
    from amllog.insights.stores.local import duckdb_limits

    duckdb_limits.PROCESS_MEMORY.claim()
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
            restrict_access(out)
            out.write("\n".join(_lines(azure, run, environment)) + "\n")
            out.flush()
            while not stopped.wait(0.5):
                pass  # a wait without end would keep signals waiting on some platforms
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def restrict_access(out: TextIO) -> None:
    """Make an empty file of this user's unreadable for others; report on stderr a file that others may read."""
    try:
        descriptor = out.fileno()
        found = os.fstat(descriptor)
    except (OSError, ValueError):
        return  # no file
    if os.name != "posix" or not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o077:
        return
    if found.st_size == 0 and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    else:
        sys.stderr.write("amllog serve: other users may read the file with the tokens: chmod go= on it\n")


def _lines(azure: AzureOnThisMachine, run: str, environment: dict[str, str]) -> list[str]:
    """What a shell needs. A URL in a command line would be visible to other users, so curl reads it on stdin."""
    return [
        f"# Azure on this machine: {azure.url}, what arrives is in {azure.directory}",
        "# the lines below contain tokens: they are secret, and valid until this server stops",
        f"# connection string: {azure.connection_string}",
        f"# in the shell of your script, to be run {run}:",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())),
        "# to ask insights what arrived, in another shell:",
        f"# export AMLLOG_QUERY_ENDPOINT={azure.query_endpoint} AMLLOG_RESOURCE_ID={azure.resource_id}",
        "# to switch faults on (an empty list switches them off), in another shell:",
        f"# echo 'url = {azure.faults_url}' |",
        """#   curl -K - -X PUT -d '[{"service": "ingestion", "status": 503, "times": 1}]'""",
        "# stop with Ctrl-C",
    ]
