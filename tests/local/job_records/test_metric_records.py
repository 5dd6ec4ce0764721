"""Metrics of run history as records."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from amllog.local.job_records.journal_file import RunIdentity
from amllog.local.job_records.journal_scan import StepJournal, metric_key
from amllog.local.job_records.metric_records import metric_records, to_seconds

RUN = RunIdentity("step_1", "pipe_1", "pipe_1", "train", "digits")


def _post(name: str, *rows: dict[str, Any], metric_id: str = "", **columns: str) -> dict[str, Any]:
    values = [
        {"metricId": metric_id or str(uuid.uuid4()), "createdUtc": "2026-11-30T10:00:00.5Z", "data": row}
        for row in rows
    ]
    return {"name": name, "columns": columns or {name: "Double"}, "value": values, "properties": {}}


def _records(posts: list[dict[str, Any]], journal: StepJournal | None = None, **run: str) -> list[Any]:
    found = {"runId": "step_1", **run}
    return list(metric_records(posts, RUN, found, journal or StepJournal()))


def test_numbers_and_others() -> None:
    """A finite number is a metric. Rows, strings and NaN are events with the values in the journal's format."""
    posts = [
        _post("loss", {"loss": 0.5}),
        _post("nan", {"nan": "NaN"}),
        _post("r", {"a": 1, "b": "x"}, a="int", b="string"),
    ]
    number, nan, row = _records(posts)
    assert (number.kind, number.data["metrics"]) == (
        "MetricData",
        [{"name": "loss", "value": 0.5, "count": 1}],
    )
    assert number.seconds == to_seconds("2026-11-30T10:00:00.500000+00:00")
    assert (nan.kind, nan.data["properties"]["value"]) == ("EventData", "NaN")
    content = {"columns": {"a": "int", "b": "string"}, "rows": [[1, "x"]]}
    assert json.loads(row.data["properties"]["run_metric_data"]) == content
    assert "run_metric" not in row.data["properties"]  # nothing is sent to run history again


def test_values_of_amllog_are_recorded_once() -> None:
    """Values that amllog posted or that the journal has are left out, each as often as it is there."""
    of_amllog = _post("a", {"a": 1}, metric_id=str(uuid.uuid5(uuid.NAMESPACE_URL, "record")))
    journal = StepJournal()
    journal.metrics[metric_key("step_1", "b", 2)] += 1
    records = _records(
        [of_amllog, _post("b", {"b": 2.0}), _post("b", {"b": 2.0}), _post("c", {"c": 3})], journal
    )
    assert [record.data["metrics"][0]["name"] for record in records] == ["b", "c"]


def test_metrics_of_a_run_below_the_step() -> None:
    """They belong to the step, and name their run."""
    (record,) = _records([_post("f1", {"f1": 1})], runId="child_1", displayName="fold 1")
    properties = record.data["properties"]
    assert (properties["step_id"], properties["run_id"], properties["run_name"]) == (
        "step_1",
        "child_1",
        "fold 1",
    )


def test_a_long_list_fits_into_the_limits() -> None:
    """A list of many values becomes several records below the limit of a dimension, without loss."""
    records = _records([_post("l", *({"l": 1 / 3 + number} for number in range(2_000)))])
    data = [record.data["properties"]["run_metric_data"] for record in records]
    assert max(map(len, data)) <= 8_192
    assert sum(len(json.loads(text)["rows"]) for text in data) == 2_000


@pytest.mark.parametrize(
    "text", ["2026-11-30T10:00:00Z", "2026-11-30T10:00:00.1234567Z", "2026-11-30T10:00:00+00:00"]
)
def test_times(text: str) -> None:
    """All forms of times that clients send are read. Others are the current time."""
    assert int(to_seconds(text)) == 1796032800
    assert to_seconds("soon") >= time.time() - 60
