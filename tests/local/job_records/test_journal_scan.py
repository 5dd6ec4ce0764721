"""The records of a step that the journal has already."""

from __future__ import annotations

import os
import time
from pathlib import Path

from amllog.local.job_records.journal_file import JournalFile, JournalRecord, RunIdentity
from amllog.local.job_records.journal_scan import scan_step
from amllog.local.job_records.step_end import StepOutcome, request_record

RUN = RunIdentity("step_1", "pipe_1", "pipe_1", "train", "digits")
OTHER = RunIdentity("step_2", "pipe_1", "pipe_1", "score", "digits")


def _metric(name: str, value: float, **more: str) -> JournalRecord:
    data = {"metrics": [{"name": name, "value": value}], "properties": {**RUN.dimensions(), **more}}
    return JournalRecord(time.time(), "MetricData", data, RUN.tags())


def test_records_of_the_step_only(tmp_path: Path) -> None:
    """The request, the exceptions and the metrics of the step count, and not those of other steps and times."""
    file, now = JournalFile(tmp_path), time.time()
    rows = '{"columns": {"a": "double", "b": "int"}, "rows": [[1.5, 2], ["NaN", 3]]}'
    event = {"name": "row", "properties": {**RUN.dimensions(), "run_metric_data": rows}}
    error = {"exceptions": [{"typeName": "ValueError"}], "properties": RUN.dimensions()}
    file.append(
        [
            _metric("loss", 1),
            _metric("loss", 1),
            _metric("f1", 0.5, run_id="child_1"),
            JournalRecord(now, "EventData", event, RUN.tags()),
            JournalRecord(now, "ExceptionData", error, RUN.tags()),
            request_record(StepOutcome("Completed", now, 1.0), OTHER),
        ]
    )
    step = scan_step(tmp_path, "step_1", now)
    assert (step.has_request, step.exception_types) == (False, {"ValueError"})
    assert [step.take_metric("step_1", "loss", 1.0) for _ in range(3)] == [True, True, False]
    assert step.take_metric("child_1", "f1", 0.5)
    assert step.take_metric("step_1", "row.a", "NaN")
    assert not step.take_metric("step_1", "f1", 0.5)
    other = scan_step(tmp_path, "step_2", now)
    assert (other.has_request, other.has_failure) == (True, False)
    for path in tmp_path.glob("*.jsonl"):
        os.utime(path, (1, 1))
    assert scan_step(tmp_path, "step_1", now).metrics == {}
    file.close()


def test_foreign_files(tmp_path: Path) -> None:
    """Lines that are no records, links and folders are ignored."""
    noise = (
        b'{"step_id":"step_1", "baseType":"MetricData"}\n"step_id":"step_1" "baseType":"EventData"\n\xff\n'
    )
    (tmp_path / "x.jsonl").write_bytes(noise)
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "x.jsonl")
    assert scan_step(tmp_path, "step_1", time.time()).metrics == {}
    assert scan_step(tmp_path / "none", "step_1", time.time()).has_request is False
