"""Run the trials of a sweep at the same time, choose the best, and pass its outputs on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from amllog.errors import AmllogError
from amllog.local.execution.run_folder import StepRecord
from amllog.local.execution.step_events import StepState
from amllog.local.job_services import JobServices
from amllog.local.plan.planned_steps import PlannedStep
from amllog.local.step_kinds.sweep_trials import (
    Trial,
    TrialResult,
    best,
    notes,
    outcome,
    sweep_task,
    trials,
    verdict,
)


@dataclass(frozen=True)
class SweepRun:
    """One sweep. `run_trial` runs a step with its run id, its parent and its inputs. Trials run in threads."""

    step: PlannedStep
    record: StepRecord
    inputs: Mapping[str, str]
    log: Path
    services: JobServices
    jobs: int
    stop_reason: Callable[[], str]
    run_trial: Callable[[PlannedStep, str, str, Mapping[str, str]], StepRecord]
    log_has_grown: Callable[[], None]

    def run(self) -> StepRecord:
        """Run all trials. Return the record of the sweep, with the outputs of the best trial. Raises UsageError."""
        task, planned = sweep_task(self.step), trials(self.step)
        for note in notes(task):
            self._write(note)
        seconds = self.step.timeout_seconds
        deadline = time.monotonic() + seconds if seconds else None
        workers = max(1, min(task.max_concurrent_trials or self.jobs, self.jobs, len(planned)))
        self._write(f"{len(planned)} trials, {workers} at the same time")
        results: list[TrialResult] = []
        records: dict[str, StepRecord] = {}
        with ThreadPoolExecutor(workers, thread_name_prefix="amllog-trial") as pool:
            futures = {
                pool.submit(self._run, trial, number, deadline): trial for number, trial in enumerate(planned)
            }
            for future in as_completed(futures):
                trial, record = futures[future], future.result()
                records[trial.step.name] = record
                is_completed = record.state is StepState.COMPLETED
                metric = self.services.metric(record.run_id, task.primary_metric) if record.run_id else None
                results.append(TrialResult(trial, is_completed, metric))
                reason = f": {record.reason}" if record.reason else ""
                self._write(f"{trial.step.name}: {outcome(results[-1], task)}{reason} ({trial.values})")
        order = {trial.step.name: number for number, trial in enumerate(planned)}
        results.sort(key=lambda result: order[result.trial.step.name])
        text = verdict(results, task)
        self._write(text)
        winner = best(results, task.goal)
        if self.stop_reason():
            return self.record._replace(state=StepState.CANCELED, reason=self.stop_reason())
        if deadline and time.monotonic() >= deadline:
            return self.record._replace(state=StepState.FAILED, reason=f"timeout after {seconds:g} s")
        if winner is None:
            return self.record._replace(state=StepState.FAILED, reason=text)
        outputs = records[winner.trial.step.name].outputs
        return self.record._replace(state=StepState.COMPLETED, reason=text, outputs=outputs)

    def _run(self, trial: Trial, number: int, deadline: float | None) -> StepRecord:
        """Run one trial in this thread. Faults of files and of values are the reason of a failed trial."""
        step, name = trial.step, trial.step.name
        remaining = deadline - time.monotonic() if deadline else None
        if self.stop_reason() or (remaining is not None and remaining <= 0):
            return StepRecord(name, StepState.CANCELED, reason=self.stop_reason() or "timeout of the sweep")
        if remaining is not None:
            limits = [limit for limit in (remaining, step.timeout_seconds) if limit]
            step = replace(step, timeout_seconds=min(limits))
        run_id = self.services.new_step_run_id(step, self.record.run_id, number)
        inputs = {**self.inputs, **{key: str(value) for key, value in trial.sample.items()}}
        try:
            record = self.run_trial(step, run_id, self.record.run_id, inputs)
            record.write(Path(record.folder))
        except (OSError, AmllogError) as error:
            return StepRecord(name, StepState.FAILED, run_id, reason=str(error))
        return record

    def _write(self, line: str) -> None:
        """Append a line to the log of the sweep. Raises OSError."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.log_has_grown()
