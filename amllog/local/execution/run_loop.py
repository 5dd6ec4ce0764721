"""The loop of one run: start steps in order, show what they write, and stop everything when asked.

Each step runs in a thread of its own, which waits for its keeper. The loop, in the calling thread, decides what starts,
calls the observer and writes the state of the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Union

from amllog.local.execution.debug_launch import source_folder
from amllog.local.execution.run_folder import StepRecord
from amllog.local.execution.run_progress import RunProgress
from amllog.local.execution.schedule import Schedule, Skipped
from amllog.local.execution.step_events import RunObserver, RunResult, RunState, StepState
from amllog.local.execution.step_runs import EarlierResults, StepHasOutput, StepRuns, StepStarted, TrialEnded
from amllog.local.execution.step_selection import Decision, pipeline_outputs
from amllog.local.execution.stop_signals import NAMES
from amllog.local.job_services import StepOutcome
from amllog.process.wake_up import Mailbox

SERVICE_STATES = {RunState.FAILED: "Failed", RunState.CANCELED: "Canceled"}  # others: Completed


class StepEnded(NamedTuple):
    """The thread of a step has ended."""

    future: Future[StepRecord]


class StopSignal(NamedTuple):
    """Ctrl-C, SIGTERM or SIGHUP has arrived."""

    number: int


Event = Union[StepStarted, StepHasOutput, TrialEnded, StepEnded, StopSignal]


class RunLoop:
    """One run in progress."""

    def __init__(
        self,
        runs: StepRuns,
        queue: Mailbox[Event],
        observer: RunObserver,
        source: str,
        problems: list[str],
    ) -> None:
        self._runs, self._queue, self._source, self._problems = runs, queue, source, problems
        self._plan, self._options, self._folder = runs.plan, runs.options, runs.folder
        self._schedule = Schedule(self._plan)
        self._progress = RunProgress(self._plan, self._folder.run_id, self._folder.path, observer)
        jobs = self._options.jobs or os.cpu_count() or 1
        self._free = jobs
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="amllog-step")
        self._began = time.time()
        limit = self._options.timeout_seconds
        self._limit = time.monotonic() + limit if limit else None
        self._outputs: dict[str, Mapping[str, Path]] = {}
        self._identities: dict[str, str] = {}
        self._failed = False
        self._decided: set[str] = set()
        self._is_unrequested = False  # a step was skipped although no option asks for it
        self._signal = 0

    def run(self, decided: Mapping[str, Decision]) -> RunResult:
        """Run all steps. Whatever happens, all processes are stopped and the state is written."""
        is_complete = False
        try:
            self._runs.services.begin_pipeline(self._plan, self._folder.run_id)
            self._progress.begin()
            self._decide(decided)
            while not self._schedule.is_done:
                self._start_ready()
                self._take(self._next_event())
            is_complete = True
        finally:
            if not is_complete:
                self._runs.switch.stop("the runner failed")
            self._pool.shutdown(wait=True)
            state = self._state() if is_complete else RunState.FAILED
            self._write_end(state)
        self._progress.end(state)
        return RunResult(
            self._folder.run_id,
            state,
            self._progress.steps,
            self._folder.path,
            self._exit_code(state),
            pipeline_outputs(self._plan.outputs, self._outputs),
            self._runs.services.journal_directory,
            (*self._problems, *self._runs.services.problems),
            {step.name: folder for step in self._plan.steps if (folder := source_folder(step))},
        )

    def _state(self) -> RunState:
        if self._signal:
            return RunState.CANCELED
        if self._failed:
            return RunState.FAILED
        is_incomplete = any(step.state is StepState.SKIPPED for step in self._progress.steps)
        return RunState.INCOMPLETE if is_incomplete else RunState.COMPLETED

    def _exit_code(self, state: RunState) -> int:
        if state is RunState.CANCELED:
            return 128 + self._signal
        return int(state is RunState.FAILED or self._is_unrequested)

    def _write_end(self, state: RunState) -> None:
        """Write the state of the run to its folder and to the local Azure."""
        seconds = time.time() - self._began
        reason = NAMES.get(self._signal, "")
        self._runs.services.end_pipeline(
            StepOutcome(SERVICE_STATES.get(state, "Completed"), self._began, seconds, None, reason)
        )
        try:
            self._folder.write_state(
                name=self._plan.name,
                source=self._source,
                journal=str(self._runs.services.journal_directory),
                state=state.value,
                steps=[step.name for step in self._plan.steps],
                started=self._began,
                ended=time.time(),
                outputs={k: str(v) for k, v in pipeline_outputs(self._plan.outputs, self._outputs).items()},
            )
        except OSError as error:
            self._problems.append(f"The state of the run cannot be written: {error}")

    def _decide(self, decided: Mapping[str, Decision]) -> None:
        """End the steps that do not run: those with outputs first, so that skipped steps do not skip them."""
        self._decided = set(decided)
        for name, decision in sorted(decided.items(), key=lambda item: item[1].state is StepState.SKIPPED):
            record = StepRecord(
                name,
                decision.state,
                reason=decision.reason,
                folder=str(decision.folder or ""),
                identity=decision.identity,
                outputs={output: str(path) for output, path in decision.outputs.items()},
            )
            self._end(record, is_requested=decision.is_requested)

    def _start_ready(self) -> None:
        """Start steps as long as there are free jobs."""
        while self._free and (step := self._schedule.take_ready()):
            self._free -= 1
            # Copies: the dictionaries change while the thread reads them.
            needed = set(step.requires)
            results = EarlierResults(
                {name: paths for name, paths in self._outputs.items() if name in needed},
                {name: text for name, text in self._identities.items() if name in needed},
            )
            future = self._pool.submit(self._runs.run, step, results)
            future.add_done_callback(lambda future: self._queue.put(StepEnded(future)))

    def _next_event(self) -> Event | None:
        """Wait for an event. Return None at the time limit of the run."""
        if self._limit is None:
            return self._queue.get()
        return self._queue.get(self._limit - time.monotonic())

    def _take(self, event: Event | None) -> None:
        if isinstance(event, StepStarted):
            self._progress.start(event.record, event.log)
        elif isinstance(event, StepHasOutput):
            if self._progress.read(event.name):
                self._queue.put(event)  # other events have their turn
        elif isinstance(event, TrialEnded):
            self._progress.finish(event.record)
        elif isinstance(event, StepEnded):
            self._free += 1
            self._end(event.future.result(), has_run=True)
        elif isinstance(event, StopSignal):
            self._signal = self._signal or event.number
            self._stop(f"stopped by {NAMES[event.number]}")
        elif event is None:
            self._limit, self._failed = None, True
            self._stop(f"timeout of the run after {self._options.timeout_seconds:g} s")

    def _stop(self, reason: str) -> None:
        """Stop the steps that run, and cancel those that wait. The second time, kill those that run."""
        self._runs.switch.stop(reason)
        for name in self._schedule.cancel_waiting():
            self._finish(StepRecord(name, StepState.CANCELED, reason=reason))

    def _end(self, record: StepRecord, *, is_requested: bool = False, has_run: bool = False) -> None:
        """Note the end of a step, and skip the steps that cannot run without it."""
        self._outputs[record.name] = {name: Path(path) for name, path in record.outputs.items()}
        self._identities[record.name] = record.identity
        self._finish(record, is_written=has_run)
        if record.state is StepState.SKIPPED and not is_requested:
            self._is_unrequested = True
        for skipped in self._schedule.end(record.name, record.state, is_requested=is_requested):
            if skipped.name not in self._decided:  # its own decision has the reason
                self._skip(skipped)
        if record.state is StepState.FAILED:
            self._failed = True
            if not self._plan.continue_on_step_failure and not self._runs.switch.reason:
                self._stop(f"{record.name} failed, and continue_on_step_failure is false")

    def _skip(self, skipped: Skipped) -> None:
        self._is_unrequested = self._is_unrequested or not skipped.is_requested
        self._finish(StepRecord(skipped.name, StepState.SKIPPED, reason=skipped.reason))

    def _finish(self, record: StepRecord, *, is_written: bool = False) -> None:
        """Show a step that has ended, and write its file."""
        if not is_written:
            folder = self._folder.step(record.name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                record.write(folder)
            except OSError as error:
                self._problems.append(f"The state of step {record.name} cannot be written: {error}")
        self._progress.finish(record)
