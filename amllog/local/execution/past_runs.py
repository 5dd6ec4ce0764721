"""The earlier runs in the folder of all runs, and what became of their steps."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from amllog.local.execution.keeper_process import StepExit
from amllog.local.execution.run_folder import FORMAT, StepRecord, read_json, write_json
from amllog.local.execution.step_events import RunState, StepState
from amllog.process.file_lock import try_lock

KILLED_REASON = "the run was killed"


class PastRun:
    """One earlier run, or one that another process is running."""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.folder = folder
        self.content = content
        self.run_id = str(content.get("run_id", folder.name))
        self.source = str(content.get("source", ""))
        self.started = _number(content.get("started"))

    @cached_property
    def state(self) -> RunState:
        """The state. A run whose process ended without a word is KILLED."""
        try:
            state = RunState(self.content.get("state"))
        except ValueError:
            return RunState.KILLED
        return RunState.KILLED if state is RunState.RUNNING and not self._is_alive() else state

    def _is_alive(self) -> bool:
        """Return whether the process of the run holds its lock, or exists where there are no locks."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            is_free = try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)
        return _process_exists(int(_number(self.content.get("pid")))) if is_free is None else not is_free

    @cached_property
    def steps(self) -> dict[str, StepRecord]:
        """The steps that have started, or that were skipped. Steps of a killed run may have ended after it."""
        folders = sorted((self.folder / "steps").glob("*/step.json"))
        records = [_settled(folder.parent, self.state) for folder in folders]
        return {record.name: record for record in records if record}

    def mark_killed(self) -> None:
        """Write the state of a killed run into its files, so that it stays known. Raises OSError."""
        for record in self.steps.values():
            if record.folder:
                record.write(Path(record.folder))
        write_json(self.folder / "run.json", {**self.content, "state": RunState.KILLED.value})


def _settled(folder: Path, state: RunState) -> StepRecord | None:
    """Return the record of a step. If its run was killed, the file of the keeper says what became of it."""
    record = StepRecord.read(folder)
    if record is None or state is not RunState.KILLED or record.state.is_final:
        return record
    end = StepExit.read(folder / "exit.json")
    seconds = end.ended - end.started if end else None
    code = end.exit_code if end else None
    return record._replace(
        state=StepState.CANCELED,
        reason=KILLED_REASON,
        exit_code=code,
        seconds=seconds,
        folder=str(folder),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def past_runs(runs: Path) -> list[PastRun]:
    """Return the runs in a folder, the latest first.

    A `run.json` of another program, or of a version with another format, is no run, because a killed run is changed.
    """
    folders = []
    for file in runs.glob("*/run.json"):
        content = read_json(file)
        if content.get("format") == FORMAT:
            folders.append(PastRun(file.parent, content))
    return sorted(folders, key=lambda run: run.started, reverse=True)
