"""The local Azure of one local run: its runs, the variables of its steps, and the records of scripts without amllog.

The pipeline run, the runs of nested pipelines and those of the steps are registered in run history. Each step gets the
variables of a job and addresses with tokens of its own. At the end of a step, everything that run history knows and the
journal does not becomes records in the journal directory.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, final

from amllog.config import variables
from amllog.local.azure import AzureOnThisMachine
from amllog.local.azureml import new_run_ids
from amllog.local.execution.step_values import StepValues
from amllog.local.job_records.shell_variables import without_other_runs
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, StepKind


class StepOutcome(NamedTuple):
    """The end of a run.

    `state` is that of run history: Completed, Failed or Canceled. `began` is in seconds since 1970. A negative
    `exit_code` is the number of the signal that killed the step. `reason` says why a step failed without an exit code.
    """

    state: str
    began: float
    seconds: float
    exit_code: int | None = None
    reason: str = ""


@final
class JobServices:
    """The services of one local run. All methods are thread-safe.

    `azure_directory` gets the data of the local Azure, and `journal_directory` the records. `environ` is that of the
    shell. `problems` are sentences about records that could not be written.
    """

    def __init__(self, azure_directory: Path, journal_directory: Path, environ: Mapping[str, str]) -> None:
        self.journal_directory = journal_directory.absolute()
        self.azure = AzureOnThisMachine(azure_directory)
        self.problems: list[str] = []
        self._shell = without_other_runs(environ)
        self._lock = threading.Lock()
        self._plan: PlannedPipeline | None = None
        self._pipeline_run_id = ""
        self._groups: dict[str, str] = {}

    def __enter__(self) -> JobServices:
        self.azure.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.azure.stop()

    @staticmethod
    def new_run_id(plan: PlannedPipeline) -> str:
        """Return a new id for the run of a plan: a GUID for SDK v1, otherwise two words and ten characters."""
        is_v1 = any(step.arguments is not None for step in plan.steps)
        return new_run_ids.new_guid() if is_v1 else new_run_ids.new_job_id()

    @staticmethod
    def new_step_run_id(step: PlannedStep, sweep_run_id: str = "", number: int = 0) -> str:
        """Return a new id for a step: a GUID, `HD_<guid>` for a sweep, or `<sweep_run_id>_<number>` for its trial."""
        if sweep_run_id:
            return new_run_ids.trial_id(sweep_run_id, number)
        return new_run_ids.new_sweep_id() if step.kind is StepKind.SWEEP else new_run_ids.new_guid()

    def begin_pipeline(self, plan: PlannedPipeline, run_id: str) -> None:
        """Register the run of the plan and those of its nested pipelines. A single job has one run only."""
        self._plan, self._pipeline_run_id = plan, run_id
        if plan.is_single:
            return

    def parent_run_id(self, step: PlannedStep) -> str:
        """Return the run above a step: its nested pipeline or the pipeline. "" for a single job."""
        if self._plan is None or self._plan.is_single:
            return ""
        return self._groups.get(step.group, self._pipeline_run_id)

    def begin_step(
        self, step: PlannedStep, run_id: str, parent_run_id: str, values: StepValues
    ) -> dict[str, str]:
        """Register the run of a step, and return all of its environment variables.

        `parent_run_id` is `parent_run_id(step)`, or the run of the sweep of a trial. The variables are those of the
        shell, then those of the step's file, then those of the job.
        """
        job = self.azure.job_environment(
            run_id=run_id,
            step_name=step.name,
            experiment_name=self._plan.experiment_name if self._plan else "local",
            parent_run_id=parent_run_id or None,
        )
        own = {variables.DIRECTORY: str(self.journal_directory), variables.LOCAL_AZURE: "true"}
        return {**self._shell, **step.environment_variables, **job, **own}

    def end_step(self, run_id: str, outcome: StepOutcome, values: StepValues) -> None:
        """End the run of a step: its status, its artifacts, and its records in the journal directory."""

    def end_pipeline(self, outcome: StepOutcome) -> None:
        """End the run of the pipeline and those of its nested pipelines."""

    def metric(self, run_id: str, name: str) -> float | None:
        """Return the last value of a metric of a run, or None if it has none."""
        values = self.azure.values(run_id).get(name, [])
        numbers = [value for value in values if isinstance(value, (int, float))]
        return float(numbers[-1]) if numbers else None
