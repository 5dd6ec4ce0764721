"""Run one step in the calling thread: its folders, its run in the local Azure, its attempts, its outputs."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from amllog.config.variables import LOCAL_RETRY
from amllog.errors import AmllogError
from amllog.local.execution import step_folders, step_outputs
from amllog.local.execution.code_copy import code_hash
from amllog.local.execution.debug_launch import source_variable
from amllog.local.execution.interpreter_shims import step_variables, write_shims
from amllog.local.execution.keeper_process import StepExit, StepProcess
from amllog.local.execution.run_folder import LocalRunFolder, StepRecord, error_text
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.step_commands import command_words, executable_of, replaced_variables, skip_reason
from amllog.local.execution.step_events import StepState
from amllog.local.execution.step_reuse import EarlierSteps, reuse_key
from amllog.local.execution.step_values import StepValues
from amllog.local.execution.stop_switch import StopSwitch
from amllog.local.execution.sweep_runs import SweepRun
from amllog.local.job_services import JobServices, StepOutcome
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, StepKind


class StepStarted(NamedTuple):
    """A step, or a trial of a sweep, has started."""

    name: str
    record: StepRecord
    log: Path


class StepHasOutput(NamedTuple):
    """The log of a step has grown."""

    name: str


class TrialEnded(NamedTuple):
    """A trial of a sweep has ended."""

    record: StepRecord


class EarlierResults(NamedTuple):
    """The results of the steps that have ended."""

    outputs: Mapping[str, Mapping[str, Path]]
    identities: Mapping[str, str]


@dataclass(frozen=True)
class StepRuns:
    """Everything that the steps of one run share. Its methods run in the threads of the steps."""

    plan: PlannedPipeline
    options: RunOptions
    folder: LocalRunFolder
    services: JobServices
    switch: StopSwitch
    earlier: EarlierSteps
    debugged: frozenset[str]
    environ: Mapping[str, str]
    post: Callable[[StepStarted | StepHasOutput | TrialEnded], None]
    jobs: threading.Semaphore  # each step and each trial that has a process holds one of `--jobs`

    def run(self, step: PlannedStep, results: EarlierResults) -> StepRecord:
        """Run a step or reuse an earlier execution. Faults of files and of values are the reason of a failed step."""
        began = time.time()
        folder = self.folder.step(step.name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            inputs = step_folders.input_texts(step, results.outputs)
            key = self._key(step, results)
            record = self._reused(step, key)
            if record is None:
                record = self._run(step, inputs)
                record = record._replace(key=key if record.state is StepState.COMPLETED else "")
        except (OSError, AmllogError) as error:
            record = StepRecord(
                step.name, StepState.FAILED, "", began, time.time() - began, reason=error_text(error)
            )
        try:
            record.write(folder)
        except OSError as error:
            return record._replace(reason=_joined(record.reason, error_text(error)))
        return record

    def _run(self, step: PlannedStep, inputs: Mapping[str, str]) -> StepRecord:
        reason = skip_reason(step, self.environ)
        if reason:
            return StepRecord(step.name, StepState.SKIPPED, reason=reason)
        run_id = self.folder.run_id if self.plan.is_single else self.services.new_step_run_id(step)
        # A sweep has no process, but each of its trials has one.
        with contextlib.nullcontext() if step.kind is StepKind.SWEEP else self.jobs:
            return self.run_attempts(step, run_id, self.services.parent_run_id(step), inputs)

    def _key(self, step: PlannedStep, results: EarlierResults) -> str:
        python = step.interpreter or Path(sys.executable)
        try:
            parts = [code_hash(path, self.excluded) for path in (step.code, *step.code_includes)]
            return reuse_key(step, "".join(parts), python, results.identities)
        except OSError:  # a file is gone or unreadable: this execution is not reused
            return ""

    @property
    def excluded(self) -> tuple[Path, ...]:
        """The folders of ours, which are no code."""
        return (self.options.runs, self.services.journal_directory)

    def _reused(self, step: PlannedStep, key: str) -> StepRecord | None:
        """Return the result of an earlier execution if the options and the step allow it."""
        if not self.options.reuse or not step.is_reuse_allowed or not key or step.name in self.debugged:
            return None
        record = self.earlier.find(key)
        if record is None:
            return None
        step_outputs.copy_outputs(self.plan, step, record.outputs)
        reason = f"unchanged since run {Path(record.folder).parent.parent.name}"
        return record._replace(
            name=step.name, state=StepState.REUSED, reason=reason, started=None, seconds=None, exit_code=None
        )

    def run_attempts(
        self, step: PlannedStep, run_id: str, parent_run_id: str, inputs: Mapping[str, str]
    ) -> StepRecord:
        """Run a step, or a trial of a sweep, until an attempt completes. Raises OSError and AmllogError."""
        folder = self.folder.step(step.name)
        identity = f"{self.folder.run_id}/{step.name}"
        record = StepRecord(
            step.name, StepState.RUNNING, run_id, time.time(), folder=str(folder), identity=identity
        )
        is_sweep = step.kind is StepKind.SWEEP  # only its trials need the code
        prepared = replace(step, code=None) if is_sweep else step
        values = step_folders.prepare(prepared, folder, inputs, self.excluded)
        record.write(folder)
        self.post(StepStarted(step.name, record, step_folders.StepLayout(folder).log))
        resolved = replace(step, environment_variables=replaced_variables(step, values))
        environment = self.services.begin_step(resolved, run_id, parent_run_id, values)
        try:
            if is_sweep:
                record = self._swept(step, values, record)
            else:
                record = self._finished(step, values, record, self._last_attempt(step, values, environment))
        except (OSError, AmllogError) as error:
            record = record._replace(state=StepState.FAILED, reason=error_text(error))
        seconds = time.time() - (record.started or 0)
        record = record._replace(seconds=seconds, outputs=record.outputs or dict(values.outputs))
        state = record.state.value.capitalize()  # as the service writes the ends of a job
        outcome = StepOutcome(state, record.started or 0, seconds, record.exit_code, record.reason)
        self.services.end_step(run_id, outcome, replace(values, outputs=record.outputs))
        return record

    def _swept(self, step: PlannedStep, values: StepValues, record: StepRecord) -> StepRecord:
        """Run the trials of a sweep. The outputs of the best trial are those of the sweep."""
        sweep = SweepRun(
            step,
            record,
            values.inputs,
            step_folders.StepLayout(values.folder).log,
            self.services,
            self.options.jobs or os.cpu_count() or 1,
            lambda: self.switch.reason,
            self._run_trial,
            lambda: self.post(StepHasOutput(step.name)),
        )
        record = sweep.run()
        if record.state is StepState.COMPLETED:
            step_outputs.copy_outputs(self.plan, step, record.outputs)
        return record

    def _run_trial(
        self, step: PlannedStep, run_id: str, parent_run_id: str, inputs: Mapping[str, str]
    ) -> StepRecord:
        with self.jobs:
            record = self.run_attempts(step, run_id, parent_run_id, inputs)
        self.post(TrialEnded(record))
        return record

    def _last_attempt(
        self, step: PlannedStep, values: StepValues, environment: Mapping[str, str]
    ) -> StepExit:
        """Run a step until an attempt succeeds. Return the end of the last one."""
        end = StepExit(None)
        retries = 0 if step.name in self.debugged else step.max_retries
        for attempt in range(1 + retries):
            if attempt:
                values = step_folders.prepare(step, values.folder, values.inputs, self.excluded)
            # A failed attempt that another one follows is not the end of the step.
            retry = {LOCAL_RETRY: "true"} if attempt < retries else {}
            end = self._attempt(step, values, {**environment, **retry})
            if end.has_succeeded or self.switch.reason:
                break
        return end

    def _attempt(self, step: PlannedStep, values: StepValues, environment: Mapping[str, str]) -> StepExit:
        """Run the process of a step once."""
        layout = step_folders.StepLayout(values.folder)
        is_debugged = step.name in self.debugged
        prefix = self.options.debug(step, values) if is_debugged and self.options.debug else ()
        write_shims(layout.shims, values.python, prefix)
        variables = step_variables(layout.shims, values.python, {**environment, **source_variable(step)})
        words = command_words(step, values, variables, layout.shims if is_debugged else None)
        process = StepProcess(
            words,
            executable=executable_of(words, variables),
            environment=variables,
            work=values.work,
            log=layout.log,
            exit_file=layout.exit_file,
            timeout_seconds=None if is_debugged else step.timeout_seconds,
        )
        self.switch.add(process)
        try:
            while True:
                events = process.read_events()
                if events.has_output:
                    self.post(StepHasOutput(step.name))
                if events.exit:
                    return events.exit
        finally:
            self.switch.remove(process)
            process.close()

    def _finished(
        self, step: PlannedStep, values: StepValues, record: StepRecord, end: StepExit
    ) -> StepRecord:
        """Return the record of a step whose process has ended. Its outputs are complete then."""
        state = StepState.COMPLETED if end.has_succeeded else StepState.FAILED
        reason = end.reason
        if end.stopped == "stop":
            state, reason = StepState.CANCELED, self.switch.reason
        elif end.stopped == "timeout":
            reason = f"timeout after {step.timeout_seconds:g} s"
        if end.lost_bytes:
            reason = _joined(reason, f"{end.lost_bytes:,} bytes of its log are lost: {end.error}")
        elif end.exit_code is None and end.error:
            reason += f": {end.error}"
        try:
            step_outputs.fill_artifacts(step, values)
            if state is StepState.COMPLETED:
                step_outputs.copy_outputs(self.plan, step, values.outputs)
        except OSError as error:
            state = StepState.FAILED if state is StepState.COMPLETED else state
            reason = _joined(reason, error_text(error))
        return record._replace(state=state, reason=reason, exit_code=end.exit_code)


def _joined(*reasons: str) -> str:
    """Return reasons as one text, each once: a full disk has the same one for every file."""
    return "; ".join(dict.fromkeys(filter(None, reasons)))
