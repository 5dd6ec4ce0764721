"""Metrics of run history as records of the journal, as amllog in the step would have written them.

A finite number is a MetricData record. Everything else is an event with the values in `run_metric_data`: lists, rows,
tables, strings and infinite numbers. Values that amllog has sent are in the journal already. Their ids have version 5,
or the journal has the same value.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from amllog.local.azureml.metrics import Metric
from amllog.local.job_records.journal_file import JournalRecord, RunIdentity
from amllog.local.job_records.journal_scan import StepJournal
from amllog.record.envelope import EMPTY, MAX_VALUE

Row = Mapping[str, Any]


def metric_records(
    posts: Sequence[Metric],
    identity: RunIdentity,
    run: Mapping[str, Any],
    journal: StepJournal,
    *,
    of_pipeline: bool = False,
) -> Iterator[JournalRecord]:
    """Yield the records of metrics that the journal does not have. `run` is the step's run or one below it.

    Steps log metrics of their pipeline run, too. `of_pipeline`: `run` is that run.
    """
    dimensions = identity.pipeline_dimensions() if of_pipeline else identity.dimensions()
    if of_pipeline or run["runId"] != identity.run_id:
        dimensions.update(run_id=run["runId"], run_name=str(run.get("displayName") or run["runId"]))
    for post in posts:
        name, columns = str(post["name"]), _columns(post)
        rows = [row for row in post["value"] if not _is_of_amllog(row)]
        new = [row for row in rows if not _is_in_journal(journal, run["runId"], name, columns, row)]
        for chunk in _chunks(columns, new):
            yield _record(name, columns, chunk, identity, dimensions)


def to_seconds(created: object) -> float:
    """Return a time of the services in seconds since 1970. An invalid one is the current time."""
    text = str(created).replace("Z", "+00:00")
    head, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if dot:  # Python 3.9 reads three or six digits only
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return time.time()


def _columns(post: Metric) -> dict[str, str]:
    return {str(column): str(kind).lower() for column, kind in post["columns"].items()}


def _is_of_amllog(row: Row) -> bool:
    """Return whether amllog has posted the row: its ids are made from record ids, and those of azureml are random."""
    try:
        return uuid.UUID(str(row.get("metricId"))).version == 5
    except ValueError:
        return False


def _is_in_journal(
    journal: StepJournal, run_id: str, name: str, columns: Mapping[str, str], row: Row
) -> bool:
    names = {column: name if column == name else f"{name}.{column}" for column in columns}
    cells = [(names[column], row["data"].get(column)) for column in columns]
    taken = [journal.take_metric(run_id, *cell) for cell in cells]
    return bool(taken) and all(taken)


def _chunks(columns: Mapping[str, str], rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the rows in lists whose JSON fits into one dimension. A number has a record of its own."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        length = len(json.dumps([row["data"].get(column) for column in columns])) + 2
        if chunk and (
            size + length > MAX_VALUE - 1_000 or (len(columns) == 1 and row.get("step") is not None)
        ):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += length
    if chunk:
        yield chunk


def _record(
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    identity: RunIdentity,
    dimensions: Mapping[str, str],
) -> JournalRecord:
    step = rows[0].get("step")
    properties = {**dimensions, **({} if step is None else {"step": str(step)})}
    seconds = to_seconds(rows[-1].get("createdUtc"))
    cells = [[row["data"].get(column) for column in columns] for row in rows]
    if len(rows) == 1 and [*columns] == [name] and _is_finite(cells[0][0]):
        data: dict[str, Any] = {"metrics": [{"name": name, "value": cells[0][0], "count": 1}]}
        return JournalRecord(seconds, "MetricData", {**data, "properties": properties}, identity.tags())
    content = {"columns": columns, "rows": cells}
    properties["run_metric_data"] = json.dumps(content, ensure_ascii=False)
    if len(cells) == 1 and len(cells[0]) == 1:
        properties["value"] = str(cells[0][0])
    return JournalRecord(
        seconds, "EventData", {"name": name or EMPTY, "properties": properties}, identity.tags()
    )


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
