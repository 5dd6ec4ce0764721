"""The local Azure of one local run: its runs, the variables of its steps, and the records of scripts without amllog.

The pipeline run, the runs of nested pipelines and those of the steps are registered in run history. Each step gets the
variables of a job and an ingestion address of its own. At the end of a step, everything that run history has and the
journal has not becomes records in the journal directory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import final

from amllog.config import user_path, variables
from amllog.local.app_insights.ingestion import Envelope
from amllog.local.azure import AzureOnThisMachine
from amllog.local.azureml import job_environment, new_run_ids
from amllog.local.azureml.runs import ENDED, Run
from amllog.local.execution.step_values import StepValues
from amllog.local.job_records import step_files
from amllog.local.job_records.journal_file import JournalFile, JournalRecord, RunIdentity
from amllog.local.job_records.journal_scan import StepJournal, scan_step
from amllog.local.job_records.metric_records import metric_records
from amllog.local.job_records.received_records import records_of_others
from amllog.local.job_records.shell_variables import with_startup, without_other_runs
from amllog.local.job_records.step_end import StepOutcome, end_records, request_record
from amllog.local.plan.planned_steps import LiteralValue, PlannedPipeline, PlannedStep, StepKind
from amllog.record.redaction import Redactor

__all__ = ["JobServices", "StepOutcome"]


@final
class JobServices:
    """The services of one local run. All methods are thread-safe.

    `azure_directory` gets the data of the local Azure, and `journal_directory` the records. `environ` is that of the
    shell. `problems` are sentences about files and records that could not be written.
    """

    def __init__(self, azure_directory: Path, journal_directory: Path, environ: Mapping[str, str]) -> None:
        self.journal_directory = journal_directory.absolute()
        authorities = (environ.get("REQUESTS_CA_BUNDLE"), environ.get("CURL_CA_BUNDLE"))
        bundle = next((Path(name) for name in authorities if name and user_path.is_file(Path(name))), None)
        # Not strict: the limits of the services differ by client, and no step shall fail here that would run there.
        self.azure = AzureOnThisMachine(
            azure_directory, strict=False, authorities=bundle, on_envelopes=self._on_envelopes
        )
        self.problems: list[str] = []
        self._shell, self._redactor = without_other_runs(environ), Redactor()
        self._file = JournalFile(self.journal_directory)
        self._lock = threading.Lock()
        self._plan: PlannedPipeline | None = None
        self._pipeline_run_id = ""
        self._groups: dict[str, str] = {}  # the run ids of nested pipelines by name
        self._steps: set[str] = set()  # the run ids of steps, which runs of MLflow are not
        self._failed_steps: list[tuple[str, set[str]]] = []  # names, with the runs above them

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
        self._file.close()

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
        name = plan.display_name or plan.name
        self._add_run(run_id, name, "azureml.PipelineRun", None)
        for group in plan.groups:
            group_id = new_run_ids.new_guid()
            above = self._groups.get(group.rpartition(".")[0], run_id)
            self._add_run(group_id, group, "azureml.PipelineRun", above)
            self._groups[group] = group_id

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
        shell, then those of the step's file, then those of the job, which a file cannot change.
        """
        with self._lock:
            self._steps.add(run_id)
        job = self.azure.job_environment(
            run_id=run_id,
            step_name=step.name,
            experiment_name=self._plan.experiment_name if self._plan else "local",
            parent_run_id=parent_run_id or None,
        )
        literals = {name for name, value in step.inputs.items() if isinstance(value, LiteralValue)}
        own = {variables.DIRECTORY: str(self.journal_directory), variables.LOCAL_AZURE: "true"}
        # amllog asks run history for these names, which it can only with azureml-core.
        names = dict(zip(variables.OF_ONE_STEP, (step.name, job["AZUREML_ARM_PROJECT_NAME"])))
        return {
            **with_startup({**self._shell, **names, **step.environment_variables}),
            **job,
            **job_environment.step_variables(
                values.inputs, values.outputs, literals, values.work, values.folder
            ),
            **own,
        }

    def end_step(self, run_id: str, outcome: StepOutcome, values: StepValues) -> None:
        """End the run of a step: its status, its artifacts, and its records in the journal directory."""
        run, data = self.azure.data.runs.get(run_id), self.azure.data
        container = str(run["dataContainerId"])
        self._report(step_files.add_files(data.artifacts, container, values.work, values.folder))
        self._end_run(run_id, outcome)
        below = self._runs_below(run_id)
        for other in below:  # a run of MLflow that the script did not end
            if other["status"] not in ENDED:
                self._end_run(other["runId"], outcome)
        journal = scan_step(self.journal_directory, run_id, outcome.began)
        identity = RunIdentity.of_run(run)
        logs = step_files.driver_logs(values.folder)
        self._append(self._metric_records([run, *below], identity, journal))
        self._append(end_records(outcome, identity, journal, logs, self._redactor))
        if outcome.state == "Failed":
            above = set(self._above(run))
            with self._lock:
                self._failed_steps.append((identity.step_name, above))

    def end_pipeline(self, outcome: StepOutcome) -> None:
        """End the run of the pipeline and those of its nested pipelines, and record their requests."""
        if self._plan is None or self._plan.is_single:
            return
        for run_id in (*reversed(self._groups.values()), self._pipeline_run_id):
            names = [name for name, above in self._failed_steps if run_id in above]
            own = outcome
            if outcome.state == "Failed" and names and not outcome.reason:
                own = outcome._replace(reason=f"step{'s' * (len(names) > 1)} {', '.join(names)}")
            elif outcome.state == "Failed" and not names and run_id != self._pipeline_run_id:
                own = outcome._replace(state="Completed", exit_code=0, reason="")
            self._end_run(run_id, own)
            run = self.azure.data.runs.get(run_id)
            identity = RunIdentity.of_run(run)
            metrics = self._metric_records([run], identity, StepJournal(), of_pipeline=True)
            self._append([*metrics, request_record(own, identity, of_pipeline=True)])

    def metric(self, run_id: str, name: str) -> float | None:
        """Return the last number of a metric of a run, or of a run of MLflow below it. None if there is none."""
        for run in (self.azure.data.runs.get(run_id), *self._runs_below(run_id)):
            values = self.azure.data.values(str(run["runId"]), name)
            numbers = [float(value) for value in values if isinstance(value, (int, float))]
            if numbers:
                return numbers[-1]
        return None

    def _add_run(self, run_id: str, name: str, kind: str, above: str | None) -> None:
        experiment = self._plan.experiment_name if self._plan else "local"
        fields = {
            "name": name,
            "displayName": name,
            "runType": kind,
            "status": "Running",
            "parentRunId": above,
        }
        self.azure.data.runs.add(run_id, experiment, **fields)

    def _end_run(self, run_id: str, outcome: StepOutcome) -> None:
        details = {} if outcome.has_succeeded else {"ErrorResponse": {"error": {"message": outcome.result}}}
        self.azure.data.runs.apply_event(run_id, outcome.state, details)

    def _runs_below(self, run_id: str) -> list[Run]:
        """Return the runs that the script of a step has created, the newest first."""
        children = [
            run for run in self.azure.data.runs.children_of(run_id) if run["runId"] not in self._steps
        ]
        return [*children, *(run for child in children for run in self._runs_below(child["runId"]))]

    def _above(self, run: Run) -> Iterator[str]:
        while run.get("parentRunId"):
            yield str(run["parentRunId"])
            run = self.azure.data.runs.get(str(run["parentRunId"]))

    def _metric_records(
        self,
        runs: Sequence[Run],
        identity: RunIdentity,
        journal: StepJournal,
        *,
        of_pipeline: bool = False,
    ) -> Iterator[JournalRecord]:
        for run in runs:
            posts = self.azure.metrics(str(run["runId"]))
            yield from metric_records(posts, identity, run, journal, of_pipeline=of_pipeline)

    def _on_envelopes(self, run_id: str, envelopes: Sequence[Envelope]) -> None:
        if run_id:
            identity = RunIdentity.of_run(self.azure.data.runs.get(run_id))
            self._append(records_of_others(envelopes, identity))

    def _append(self, records: Iterable[JournalRecord]) -> None:
        try:
            self._file.append(records)
        except OSError as error:
            reason = f"{error.strerror or error}"
            self._report([f"{self.journal_directory}: records of steps could not be written: {reason}"])

    def _report(self, problems: Iterable[str]) -> None:
        with self._lock:
            self.problems.extend(problem for problem in problems if problem not in self.problems)
