"""The records of the end of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.job_records.journal_file import RunIdentity
from amllog.local.job_records.journal_scan import StepJournal
from amllog.local.job_records.step_end import StepOutcome, end_records, request_record
from amllog.record.operation_id import span_id_of
from amllog.record.redaction import Redactor

RUN = RunIdentity("step_1", "pipe_1", "pipe_1", "train", "digits")
TRACEBACK = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'x'\n"


def _end(
    tmp_path: Path, log: str, outcome: StepOutcome, journal: StepJournal | None = None
) -> list[tuple[str, str]]:
    path = tmp_path / "std_log.txt"
    path.write_text(log, encoding="utf-8")
    records = end_records(outcome, RUN, journal or StepJournal(), [path], Redactor())
    return [
        (record.kind, str(record.data.get("responseCode") or record.data.get("message", "")))
        for record in records
    ]


@pytest.mark.parametrize(
    ("log", "outcome", "expected"),
    [
        (TRACEBACK, StepOutcome("Completed", 0, 1, 0), [("RequestData", "0")]),
        (TRACEBACK, StepOutcome("Failed", 0, 1, 1), [("ExceptionData", ""), ("RequestData", "uncaught exception")]),
        ("sh: no x\n", StepOutcome("Failed", 0, 1, 127),
         [("MessageData", "Exit code 127: sh: no x"), ("RequestData", "exit code 127")]),
        (TRACEBACK, StepOutcome("Failed", 0, 1, -9),
         [("MessageData", "Killed by SIGKILL: KeyError: 'x'"), ("RequestData", "killed by SIGKILL")]),
        (TRACEBACK, StepOutcome("Failed", 0, 1, 1, "timeout after 3 s"),
         [("ExceptionData", ""), ("RequestData", "timeout after 3 s")]),
        ("", StepOutcome("Failed", 0, 1, None, "timeout after 3 s"),
         [("MessageData", "Timeout after 3 s"), ("RequestData", "timeout after 3 s")]),
        ("", StepOutcome("Canceled", 0, 1, -15, "canceled by Ctrl-C"), [("RequestData", "canceled by Ctrl-C")]),
    ],
)  # fmt: skip
def test_records_of_each_end(
    tmp_path: Path, log: str, outcome: StepOutcome, expected: list[tuple[str, str]]
) -> None:
    """The request has the result as amllog words it, and a failure has its cause from the driver log."""
    assert _end(tmp_path, log, outcome) == expected


def test_what_amllog_in_the_step_has_recorded(tmp_path: Path) -> None:
    """A step with a true request gets no other one, and an exception of the journal is not repeated."""
    failed = StepOutcome("Failed", 0, 1, 1)
    assert _end(tmp_path, TRACEBACK, failed, StepJournal(has_request=True, has_failure=True)) == []
    assert _end(tmp_path, "", StepOutcome("Completed", 0, 1, 0), StepJournal(has_request=True)) == []
    known = StepJournal(exception_types={"KeyError"})
    assert _end(tmp_path, TRACEBACK, failed, known) == [("RequestData", "exit code 1")]


def test_a_step_that_fails_after_the_success_of_amllog(tmp_path: Path) -> None:
    """A later command of the step failed, or `raise SystemExit(3)` ended the script, which amllog cannot see."""
    failed = StepOutcome("Failed", 0, 1, 3)
    assert _end(tmp_path, "bye\n", failed, StepJournal(has_request=True)) == [
        ("MessageData", "Exit code 3: bye"),
        ("RequestData", "exit code 3"),
    ]


def test_requests_form_a_tree() -> None:
    """The request of a step is below that of its pipeline, which names no step."""
    step = request_record(StepOutcome("Completed", 10.0, 1.5), RUN)
    assert (step.data["id"], step.tags["ai.operation.parentId"]) == (
        span_id_of("step_1"),
        span_id_of("pipe_1"),
    )
    assert (step.data["duration"], step.data["success"], step.seconds) == ("0.00:00:01.500000", True, 10.0)
    pipeline = RunIdentity("pipe_1", "pipe_1", "pipe_1", "digits pipeline", "digits")
    request = request_record(StepOutcome("Failed", 10.0, 1.5, 1), pipeline, of_pipeline=True)
    assert (request.data["id"], "ai.operation.parentId" in request.tags) == (span_id_of("pipe_1"), False)
    assert "step_id" not in request.data["properties"]
