"""The records of one step that the journal has already, so that nothing is recorded twice.

amllog in the step has written them. Their files are in the journal directory, and have changed since the step began.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amllog.local.storage import is_own_file
from amllog.record import envelope
from amllog.record.operation_id import span_id_of

SLACK_SECONDS = 60.0  # between the clocks of a file system and of the machine
_KINDS = tuple(
    f'"baseType":"{kind}"'.encode() for kind in ("MetricData", "EventData", "ExceptionData", "RequestData")
)


def metric_key(run_id: str, name: str, value: object) -> tuple[str, str, str]:
    """Return the key by which values of metrics are compared. Steps are not part of it, because MLflow numbers them."""
    try:
        return run_id, name, repr(float(value))  # type: ignore[arg-type]  # any object
    except (TypeError, ValueError):
        return run_id, name, str(value)


@dataclass
class StepJournal:
    """The requests, the exceptions and the metrics of a step in the journal. `metrics` counts equal values."""

    has_request: bool = False
    has_failure: bool = False  # one of the requests is a failure
    exception_types: set[str] = field(default_factory=set)
    metrics: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def take_metric(self, run_id: str, name: str, value: object) -> bool:
        """Return whether the journal has this value. Each value in the journal stands for one."""
        key = metric_key(run_id, name, value)
        if self.metrics[key] <= 0:
            return False
        self.metrics[key] -= 1
        return True

    def add(self, record: Mapping[str, Any], run_id: str, span: str) -> None:
        """Add a record if it belongs to the step `run_id`, whose request has the id `span`."""
        try:
            kind, data = record["data"]["baseType"], record["data"]["baseData"]
            properties = data.get("properties") or {}
            if properties.get("step_id") != run_id:
                return
            if kind == "RequestData":
                is_end = data.get("id") == span
                self.has_request = self.has_request or is_end
                self.has_failure = self.has_failure or (is_end and data.get("success") is False)
            elif kind == "ExceptionData":
                self.exception_types.update(str(error["typeName"]) for error in data["exceptions"])
            else:
                owner = properties.get("run_id") or run_id
                self.metrics.update(metric_key(owner, *value) for value in _values(data, properties))
        except (KeyError, TypeError, AttributeError, ValueError):
            return  # not a record of amllog


def scan_step(directory: Path, run_id: str, began: float) -> StepJournal:
    """Return what the journal has of a step that began at this time."""
    step = StepJournal()
    span, id_member = span_id_of(run_id), f'"step_id":{json.dumps(run_id, ensure_ascii=False)}'.encode()
    for line in _lines(directory, began):
        if id_member not in line or not any(kind in line for kind in _KINDS):
            continue
        record = envelope.decode_line(line)
        if record is not None:
            step.add(record, run_id, span)
    return step


def _lines(directory: Path, began: float) -> Iterator[bytes]:
    """Yield the lines of all files that have changed since the step began."""
    for path in directory.glob("*.jsonl"):
        try:
            if os.stat(path).st_mtime >= began - SLACK_SECONDS and is_own_file(path):
                with path.open("rb") as file:
                    yield from file
        except OSError:
            continue  # deleted meanwhile


def _values(data: Mapping[str, Any], properties: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    """Yield the names and values of a metric. Those of rows have the names that MLflow gets: `<metric>.<column>`."""
    for metric in data.get("metrics") or ():
        yield metric["name"], metric["value"]
    if "run_metric_data" in properties:
        content = json.loads(properties["run_metric_data"])
        name = data["name"]
        for row in content["rows"]:
            for column, value in zip(content["columns"], row):
                yield name if column == name else f"{name}.{column}", value
