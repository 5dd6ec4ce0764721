"""`serve()`: run the local Azure in the foreground until it is interrupted."""

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

PIPELINE_OF_RUN = "(of the run)"

_OF_THE_SHELL = ("REQUESTS_CA_BUNDLE", "NO_PROXY", "no_proxy")
# Adds loopback to the names of the shell that has a proxy. The lower-case variable wins, as in curl and requests.
_NO_PROXY = (
    '[ -z "${http_proxy:-}${HTTP_PROXY:-}${https_proxy:-}${HTTPS_PROXY:-}${all_proxy:-}${ALL_PROXY:-}" ] || '
    '{ no_proxy="${no_proxy:-${NO_PROXY:-}}"; export no_proxy="${no_proxy:+$no_proxy,}127.0.0.1,localhost"; '
    'export NO_PROXY="$no_proxy"; }'
)


def serve(
    directory: str | Path,
    port: int = 0,
    *,
    strict: bool = True,
    run_id: str | None = None,
    step_name: str = "step",
    experiment_name: str = "local",
    parent_run_id: str | None = PIPELINE_OF_RUN,
    root_run_id: str | None = None,
    out: TextIO | None = None,
    authorities: Path | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM. Print the connection string and the variables for one run to `out`.

    As in a pipeline, the run is a step of `parent_run_id`. The default is a pipeline run whose id depends on `run_id`
    only. None is a job of its own.

    The variables contain the tokens. If `out` is a new file that others may read, it is made private to this user.
    `authorities` is the file of certificate authorities that other programs in that shell use (default: that of
    `requests`). The variables leave it as it is.
    Raises OSError if the port or the directory cannot be used.
    """
    from amllog.insights.stores.local import duckdb_limits

    duckdb_limits.PROCESS_MEMORY.claim()
    stopped = threading.Event()
    out = out or sys.stdout

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with AzureOnThisMachine(directory, port=port, strict=strict, authorities=authorities) as azure:
            run = run_id or f"local_{uuid.uuid4()}"
            environment = azure.job_environment(
                run_id=run,
                step_name=step_name,
                experiment_name=experiment_name,
                parent_run_id=pipeline_of(run) if parent_run_id == PIPELINE_OF_RUN else parent_run_id,
                root_run_id=root_run_id,
            )
            restrict_access(out)
            out.write("\n".join(_shell_lines(azure, run, environment)) + "\n")
            out.flush()
            while not stopped.wait(0.5):
                pass  # on some platforms, a wait without a timeout delays signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pipeline_of(run_id: str) -> str:
    """Return the id of the pipeline run of a step. As in the service, it is a GUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"amllog:pipeline of {run_id}"))


def restrict_access(out: TextIO) -> None:
    """Make an empty file of this user private. Print a warning to stderr if others may read another file."""
    try:
        descriptor = out.fileno()
        status = os.fstat(descriptor)
    except (OSError, ValueError):
        return  # not a file
    if os.name != "posix" or not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o077:
        return
    if status.st_size == 0 and status.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    else:
        sys.stderr.write("amllog serve: other users may read the file with the tokens: chmod go= on it\n")


def _shell_lines(azure: AzureOnThisMachine, run: str, environment: dict[str, str]) -> list[str]:
    """Return the lines for a shell. Other users can see command lines, so curl reads the URL from stdin.

    `REQUESTS_CA_BUNDLE` would replace the authorities of all other programs in that shell, and `NO_PROXY` of the
    shell of this server the hosts of the other one.
    """
    exported = {name: value for name, value in environment.items() if name not in _OF_THE_SHELL}
    bundle = shlex.quote(environment["REQUESTS_CA_BUNDLE"])
    return [
        f"# local Azure: {azure.url}, the received data is in {azure.directory}",
        "# the lines below contain tokens, which are secret and valid until this server stops",
        f"# connection string: {azure.connection_string}",
        f"# export in the shell of your script, which then is run {run}:",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(exported.items())),
        f"export AMLLOG_LOCAL_AUTHORITIES={bundle}",
        _NO_PROXY,
        "# uploads by azureml's own Run trust this server under `amllog run SCRIPT`, or with one more variable:",
        f"# REQUESTS_CA_BUNDLE={bundle} python SCRIPT",
        "# to query the received data with insights, in another shell:",
        f"# export AMLLOG_QUERY_ENDPOINT={azure.query_endpoint} AMLLOG_RESOURCE_ID={azure.resource_id}",
        "# to switch faults on (an empty list switches them off), in another shell:",
        f"# echo 'url = {azure.faults_url}' |",
        """#   curl -K - -X PUT -d '[{"service": "ingestion", "status": 503, "times": 1}]'""",
        "# stop with Ctrl-C",
    ]
