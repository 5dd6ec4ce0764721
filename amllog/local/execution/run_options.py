"""The options of one local run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep

# Returns the words that the interpreter of a step gets before its own arguments, e.g.
# ("/…/debug_server.py", "--seconds", "300", "--").
DebugPrefix = Callable[[PlannedStep, StepValues], "tuple[str, ...]"]

ONLY = "*"  # `debug_step`: the step of a job that is no pipeline


@dataclass(frozen=True)
class RunOptions:
    """The options of one run. The names of steps are checked by the runner."""

    jobs: int | None = None  # steps at the same time. None: the number of processors
    skip: tuple[str, ...] = ()
    stubs: Mapping[str, Path] = field(
        default_factory=lambda: MappingProxyType({})
    )  # step: a folder of its outputs
    start_from: str = ""  # run this step and all that depend on it, on the outputs of the last run
    only: tuple[str, ...] = ()  # run these steps only, on the outputs of the last run
    reuse: bool = False  # steps with the same command, code, inputs and environment do not run again
    timeout_seconds: float | None = None  # of the run as a whole
    debug_step: str = ""
    debug: DebugPrefix | None = None
    directory: Path = field(default_factory=Path.cwd)
    runs_directory: Path | None = None  # None: `amllog-runs` in the directory
    journal_directory: Path | None = None  # None: AMLLOG_DIR, or `.amllog` in the directory

    @property
    def runs(self) -> Path:
        """The absolute path of the folder of all runs."""
        return (self.directory / (self.runs_directory or "amllog-runs")).absolute()
