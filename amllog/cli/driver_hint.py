"""Name the command that shows what the steps of a local or fetched run have printed, if no record has it."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from amllog.cli import output
from amllog.insights.driver_logs.run_places import driver_command
from amllog.insights.query.result import Table
from amllog.insights.query.run_ids import root_of


def print_hint(options: Namespace, run_id: str, table: Table) -> None:
    """Print the command if an answer has no rows and the driver logs of the run are in the working directory."""
    if table or not run_id:
        return
    root = root_of(run_id, run_id)
    steps = [f"--step-name {shlex.quote(name)}" for name in options.step_name or ()]
    if run_id != root:
        steps.append(f"--step-id {shlex.quote(run_id)}")
    command = driver_command(Path(), root, " ".join(steps))
    if command:
        output.print_notice(f"what was printed is in the driver logs: {command}")
