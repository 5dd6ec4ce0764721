"""The records of the end of a run: its request, and the exception of a script without amllog.

`reason` of a request is the word that amllog in a step would have used: `exit code 3`, `uncaught exception`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from amllog.local.job_records.journal_file import JournalRecord, RunIdentity
from amllog.local.job_records.journal_scan import StepJournal
from amllog.record import envelope
from amllog.record.operation_id import span_id_of
from amllog.record.redaction import Redactor


class StepOutcome(NamedTuple):
    """The end of a run.

    `state` is that of run history: Completed, Failed or Canceled. `began` is in seconds since 1970. A negative
    `exit_code` is the number of the signal that killed the step. `reason` says more than the code, such as a timeout.
    """

    state: str
    began: float
    seconds: float
    exit_code: int | None = None
    reason: str = ""

    @property
    def has_succeeded(self) -> bool:
        """Return whether the run is completed."""
        return self.state == "Completed"

    @property
    def result(self) -> str:
        """The result code of the request. "0" for a success."""
        if self.has_succeeded:
            return "0"
        return self.reason or (describe_exit(self.exit_code) if self.exit_code else self.state.lower())


def signal_name(number: int) -> str:
    """Return the name of a signal, or a text with its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_exit(code: int) -> str:
    """Return `exit code 3`, or `killed by SIGKILL` for a negative code."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal_name(-code)}"


def request_record(
    outcome: StepOutcome, identity: RunIdentity, result: str = "", *, of_pipeline: bool = False
) -> JournalRecord:
    """Return the request of a run. `result` replaces the result code of a failure."""
    dimensions = identity.pipeline_dimensions() if of_pipeline else identity.dimensions()
    data = {
        "name": identity.step_name[: envelope.MAX_NAME] or envelope.EMPTY,
        "id": span_id_of(identity.run_id),
        "duration": envelope.format_duration(outcome.seconds),
        "success": outcome.has_succeeded,
        "responseCode": (result or outcome.result)[: envelope.MAX_NAME],
        "properties": {**dimensions, "logger": "amllog"},
    }
    return JournalRecord(outcome.began, "RequestData", data, identity.tags(of_request=True))


def end_records(
    outcome: StepOutcome,
    identity: RunIdentity,
    journal: StepJournal,
    logs: Sequence[Path],
    redactor: Redactor,
) -> Iterator[JournalRecord]:
    """Yield the exception and the request of a step that its own process has not recorded.

    The exception is that of the last traceback in the driver logs. Without one, an error has the last line of a log.
    A success in the journal is that of one process only. If the step has failed, it gets a request that says so.
    """
    if journal.has_request and (journal.has_failure or outcome.state != "Failed"):
        return
    result = ""
    if outcome.state == "Failed":
        cause = _cause(outcome, identity, journal, logs, redactor)
        if cause is not None:
            is_uncaught = cause.kind == "ExceptionData" and outcome.result == describe_exit(1)
            result = "uncaught exception" if is_uncaught else ""
            yield cause
    yield request_record(outcome, identity, result)


def _cause(
    outcome: StepOutcome,
    identity: RunIdentity,
    journal: StepJournal,
    logs: Sequence[Path],
    redactor: Redactor,
) -> JournalRecord | None:
    """Return the record of the cause of a failure, or None if the journal has it."""
    from amllog.local.job_records import driver_tracebacks  # slow to import, and only a failure needs it

    texts = [driver_tracebacks.read_tail(log) for log in logs]
    ended = outcome.began + outcome.seconds
    common = {**identity.dimensions(), "logger": envelope.UNCAUGHT_LOGGER, "level": "CRITICAL"}
    # A step that was killed has not ended with a traceback, whatever is in its log.
    tracebacks = (driver_tracebacks.exception_data(text, redactor) for text in texts)
    data = next(filter(None, tracebacks), None) if (outcome.exit_code or 0) > 0 else None
    if data is not None:
        if data["exceptions"][0]["typeName"] in journal.exception_types:
            return None
        properties = {**common, "message": "Uncaught exception"}
        return JournalRecord(ended, "ExceptionData", {**data, "properties": properties}, identity.tags())
    last = next(filter(None, map(driver_tracebacks.last_line, texts)), "")
    last = redactor.mask_and_truncate(last, envelope.MAX_VALUE)
    result = outcome.result[:1].upper() + outcome.result[1:]
    message = f"{result}: {last}" if last else result
    return JournalRecord(
        ended,
        "MessageData",
        {"message": message, "severityLevel": 4, "properties": common},
        identity.tags(),
    )
