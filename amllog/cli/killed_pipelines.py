"""Write the end of local runs that were killed, before a question about them is answered.

Nothing is loaded or written unless a run in the working directory says that it still runs, and its process is gone.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from pathlib import Path

from amllog.cli import output
from amllog.insights.driver_logs.log_folders import RUN_FILE
from amllog.insights.driver_logs.run_places import RUNS_FOLDER

_RUNNING = b'"running"'
_WAIT_SECONDS = 1.0  # for the steps of a run that was killed just now, which end after it
_POLL_SECONDS = 0.02


def settle(options: Namespace) -> None:
    """Write the ends of killed runs in the working directory. A run of another user is left as it is."""
    if any(getattr(options, name, None) for name in ("dir", "resource_id", "workspace_id", "app_id")):
        return
    runs = Path(RUNS_FOLDER)
    if not _is_ours(runs):
        return
    names = {file.parent.name for file in runs.glob(f"*/{RUN_FILE}") if _says_running(file)}
    if not names:
        return
    from amllog.local.execution.killed_runs import settle_killed_runs
    from amllog.local.execution.past_runs import past_runs
    from amllog.local.execution.step_events import RunState

    for run in past_runs(runs):
        journal = Path(str(run.content.get("journal") or "."))
        is_allowed = _is_ours(journal) or not os.path.lexists(journal)
        if run.folder.name in names and run.state is RunState.KILLED and is_allowed:
            _await_steps(run.folder)
            for problem in settle_killed_runs([run]):
                output.print_notice(problem)


def _says_running(file: Path) -> bool:
    """Return whether a file of a run says that it runs, and the run belongs to this user."""
    try:
        return _is_ours(file) and _is_ours(file.parent) and _RUNNING in file.read_bytes()
    except OSError:
        return False


def _is_ours(path: Path) -> bool:
    """Return whether a file or folder exists and belongs to this user. Links do not. Never without users (Windows)."""
    try:
        return hasattr(os, "geteuid") and not path.is_symlink() and path.lstat().st_uid == os.geteuid()
    except (OSError, ValueError):
        return False


def _await_steps(folder: Path) -> None:
    """Wait until the keepers of the steps have written their ends, for a limited time."""
    open_steps = [file.parent for file in folder.glob("steps/*/step.json") if _says_running(file)]
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline and not all((step / "exit.json").exists() for step in open_steps):
        time.sleep(_POLL_SECONDS)
