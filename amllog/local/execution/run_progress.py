"""The state of all steps of a run, and the calls of its observer. Used from one thread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from amllog.local.execution.log_tail import LogTail
from amllog.local.execution.run_folder import StepRecord
from amllog.local.execution.step_events import RunObserver, RunState, RunStatus, StepStatus
from amllog.local.plan.planned_steps import PlannedPipeline


def status_of(record: StepRecord, last_line: str = "") -> StepStatus:
    """Return a record as a status."""
    return StepStatus(
        record.name,
        record.state,
        record.run_id,
        record.started,
        record.seconds,
        record.exit_code,
        record.reason,
        last_line,
        Path(record.folder) if record.folder else None,
    )


def last_segment(line: str) -> str:
    """Return what a line with carriage returns shows in the end: the last text that is not empty."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


class RunProgress:
    """The statuses and the logs of the steps. Trials of a sweep have a log, and no status of their own."""

    def __init__(self, plan: PlannedPipeline, run_id: str, folder: Path, observer: RunObserver) -> None:
        self._run = RunStatus(run_id, plan.display_name or plan.name, folder, RunState.RUNNING, ())
        self._observer = observer
        self._statuses = {step.name: StepStatus(step.name) for step in plan.steps}
        self._tails: dict[str, LogTail] = {}

    @property
    def steps(self) -> tuple[StepStatus, ...]:
        """The steps in the order of the plan."""
        return tuple(self._statuses.values())

    def begin(self) -> None:
        """Show the run before its first step."""
        self._observer.started(replace(self._run, steps=self.steps))

    def end(self, state: RunState) -> None:
        """Show the run after its last step."""
        self._observer.ended(replace(self._run, state=state, steps=self.steps))

    def start(self, record: StepRecord, log: Path) -> None:
        """Show a step, or a trial, that has started."""
        self._tails[record.name] = LogTail(log)
        self.change(record)

    def change(self, record: StepRecord) -> None:
        """Show the new state of a step."""
        if record.name in self._statuses:
            self._set(status_of(record, self._statuses[record.name].last_line))

    def _set(self, status: StepStatus) -> None:
        self._statuses[status.name] = status
        self._observer.changed(status)

    def read(self, name: str, *, is_last: bool = False) -> bool:
        """Show new lines of a step. Return whether there are more."""
        if name not in self._tails:
            return False
        text = self._tails[name].read(is_last=is_last)
        for line in text.lines:
            self._observer.line(name, line)
        status = self._statuses.get(name)
        last = next(
            (last for line in (text.unfinished, *reversed(text.lines)) if (last := last_segment(line))), ""
        )
        if status and last and last != status.last_line:
            self._statuses[name] = replace(status, last_line=last)
            if not text.lines:  # a bar, or a question without an end of line
                self._observer.changed(self._statuses[name])
        return text.has_more

    def finish(self, record: StepRecord) -> None:
        """Show the last lines of a step, and its end."""
        while self.read(record.name, is_last=True):
            pass
        self._tails.pop(record.name, None)
        self.change(record)
