"""The composition of emitter, messages, measurements and run backend, for loggers, `log.run` and captures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amllog.exporters.driver_log import DriverLog
from amllog.journal.refused_counts import RefusedCounts
from amllog.record.redaction import Redactor
from amllog.sources.emitter import Appender, Emitter
from amllog.sources.logger_states import LoggerStates
from amllog.sources.measurement_records import MeasurementRecords, Number
from amllog.sources.measurements import Measurements
from amllog.sources.messages import Messages
from amllog.sources.resource import Resource
from amllog.sources.run.run import Run
from amllog.sources.run_backend import JournalingRunBackend


class Recorder:
    """Make all records of this process. There is one for its whole life, so that loggers can keep it."""

    def __init__(
        self,
        flush: Callable[[float], object],
        azure_run: Callable[[], Any],
        notice: Callable[[str, int], object],
        *,
        refused: RefusedCounts,
        in_child: Callable[[], None],
        recheck: Callable[[], float] | None = None,
        join: Callable[[], object] = int,
    ) -> None:
        """Parameters as for `JournalingRunBackend` and `Emitter`."""
        self.emitter = Emitter(refused, in_child, recheck, join, notice)
        self.messages = Messages(self.emitter)
        self.states = LoggerStates(self.messages)
        records = MeasurementRecords(self.emitter)
        self.measurements = Measurements(self.emitter, records, self._remember)
        self.run_backend = JournalingRunBackend(self.emitter, records, flush, azure_run, notice)
        self._run: Run | None = None
        # Modules of logging libraries that write lines to stdout which are records already.
        self.writers: set[str] = set()

    @property
    def run(self) -> Run:
        """The run behind `log.run`."""
        if self.emitter.is_online is None:
            self.emitter.join()
        if self._run is None:
            self._run = Run(self.run_backend)
        return self._run

    def open(self, resource: Resource, outbox: Appender, driver_log: DriverLog, redactor: Redactor) -> None:
        """Begin to write records to the outbox and the driver log."""
        self.emitter.open(resource, outbox, driver_log, redactor)

    def reset(self, redactor: Redactor) -> None:
        """Return to the state before setup(). `redactor` masks records until then."""
        self.emitter.reset(redactor)
        self.measurements.reset()
        self._run = None

    def end_step(self, began: float, seconds: float, result: str, *, failed: bool = True) -> None:
        """Record the end of the step, as in `Measurements`, and end the run in run history if no service does."""
        resource = self.emitter.resource
        ended = self.measurements.end_step(began, seconds, result, failed=failed)
        if not ended or resource is None:
            return
        if resource.run.ends_run and not resource.identity.is_child:
            status = "FAILED" if result else "FINISHED"
            self.run_backend.run_record("call", "run.end", {"status": status}, run_id=None)

    def _remember(self, name: str, value: Number) -> None:
        self.run.memory.keep_scalar(name, value)
