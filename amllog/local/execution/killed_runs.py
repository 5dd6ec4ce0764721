"""Write the end of runs that were killed: their state, and the requests that their runner could not record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from amllog.local.azureml.runs import ENDED, RunStore
from amllog.local.execution.past_runs import KILLED_REASON, PastRun
from amllog.local.execution.run_folder import StepRecord, read_json
from amllog.local.execution.step_events import RunState
from amllog.local.job_records import step_files
from amllog.local.job_records.journal_file import JournalFile, JournalRecord, RunIdentity
from amllog.local.job_records.journal_scan import scan_step
from amllog.local.job_records.step_end import StepOutcome, end_records, request_record
from amllog.process.file_lock import try_lock
from amllog.record.redaction import Redactor


def settle_killed_runs(runs: Iterable[PastRun]) -> list[str]:
    """Write the end of each run that was killed, once. Return a sentence for each that could not be written."""
    problems = []
    for run in runs:
        if run.state is RunState.KILLED and run.content.get("state") != RunState.KILLED.value:
            try:
                _settle(run)
            except OSError as error:
                problems.append(f"The end of run {run.run_id}, which was killed, cannot be written: {error}")
    return problems


def _settle(run: PastRun) -> None:
    """Write the end of a run, unless another process does that now or has done it."""
    lock = os.open(run.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        is_locked = try_lock(lock) is not False
        # The run may have ended after its file was read, or another process has settled it.
        is_unchanged = read_json(run.folder / "run.json").get("state") == run.content.get("state")
        if is_locked and is_unchanged:
            directory = run.content.get("journal")
            if directory:
                _append(run, Path(str(directory)))
            run.mark_killed()
    finally:
        os.close(lock)


def _append(run: PastRun, directory: Path) -> None:
    journal, store = JournalFile(directory), RunStore(run.folder / "azure")
    try:
        journal.append(_records(run, directory, store))
    finally:
        journal.close()
        store.close()


def _records(run: PastRun, directory: Path, store: RunStore) -> Iterator[JournalRecord]:
    """Yield the ends of steps that their own processes have not recorded, and those of the pipelines above them."""
    killed = {step.run_id: step for step in run.steps.values() if step.reason == KILLED_REASON}
    ended = max([run.started, *(_end_of(step) for step in run.steps.values())])
    for known in store.all():
        identity = RunIdentity.of_run(known)
        step = killed.get(identity.run_id)
        if step is not None:
            began = step.started or run.started
            outcome = StepOutcome("Failed", began, max(0.0, _end_of(step) - began), None, KILLED_REASON)
            logs = step_files.driver_logs(Path(step.folder))
            recorded = scan_step(directory, identity.run_id, began)
            yield from end_records(outcome, identity, recorded, logs, Redactor())
        elif known["runType"] == "azureml.PipelineRun" and known["status"] not in ENDED:
            outcome = StepOutcome("Failed", run.started, ended - run.started, None, KILLED_REASON)
            yield request_record(outcome, identity, of_pipeline=True)


def _end_of(step: StepRecord) -> float:
    return (step.started or 0.0) + (step.seconds or 0.0)
