"""The states of a run and of its steps, and the observer that is called when they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol


class StepState(Enum):
    """The state of a step. A step begins as WAITING."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"  # not started: `reason` has the cause
    CANCELED = "canceled"  # stopped, or not started, because the run was stopped
    REUSED = "reused"  # not started: its outputs are those of an earlier run, or a folder of the user

    @property
    def is_final(self) -> bool:
        """Return whether the state is the last one of the step."""
        return self not in (StepState.WAITING, StepState.RUNNING)


class RunState(Enum):
    """The state of a run."""

    RUNNING = "running"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"  # no step failed, but steps were skipped
    FAILED = "failed"
    CANCELED = "canceled"  # by Ctrl-C or SIGTERM
    KILLED = "killed"  # its process ended without a word


@dataclass(frozen=True)
class StepStatus:
    """A step at one moment."""

    name: str
    state: StepState = StepState.WAITING
    run_id: str = ""  # of the last attempt. "" before the start
    started: float | None = None  # seconds since the epoch
    seconds: float | None = None  # the duration. None before the end
    exit_code: int | None = None  # negative: the number of the signal that killed the step
    reason: str = ""  # why the step failed, was skipped, reused or canceled
    last_line: str = ""
    folder: Path | None = None  # <run>/steps/<name>, or the folder of the earlier run. None before the start


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment. The steps are in the order of the plan."""

    run_id: str
    name: str
    folder: Path
    state: RunState
    steps: tuple[StepStatus, ...]


class RunObserver(Protocol):
    """An object that shows a run. All calls come from one thread, in order."""

    def started(self, run: RunStatus) -> None:
        """Take the run before its first step starts."""

    def changed(self, step: StepStatus) -> None:
        """Take a step whose state has changed."""

    def line(self, step_name: str, text: str) -> None:
        """Take one line that a step wrote to stdout or stderr, without its end. It may contain control characters."""

    def ended(self, run: RunStatus) -> None:
        """Take the run after its last step."""


@dataclass(frozen=True)
class RunResult:
    """The end of a run.

    `exit_code` is 0, also if steps were skipped as the options ask. It is 1 if a step failed or was skipped for another
    reason, 130 after Ctrl-C, and 143 after SIGTERM.
    """

    run_id: str
    state: RunState
    steps: tuple[StepStatus, ...]
    folder: Path
    exit_code: int
    outputs: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))  # of the pipeline
    journal_directory: Path | None = None
    problems: tuple[str, ...] = ()  # sentences about files and records that could not be written
    # The folders of which the working directories of steps are copies, by step
    sources: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))

    def step(self, name: str) -> StepStatus:
        """Return a step. Raises KeyError if the run has no step with this name."""
        return {step.name: step for step in self.steps}[name]
