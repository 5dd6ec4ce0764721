"""Rows of diagnostic settings, of a workspace's data export and of Event Hubs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from amllog.insights.insights import Insights
from amllog.insights.stores.local.formats.exported_rows import to_duration

DIMENSIONS = {"parent_run_id": "run-1", "step_id": "s1", "step_name": "train"}
COMMON: dict[str, Any] = {
    "time": "2026-11-22T10:00:01.0000000Z", "resourceId": "/SUBSCRIPTIONS/S/COMPONENTS/A", "AppRoleName": "train",
    "OperationId": "op1", "ParentId": "par1", "Properties": DIMENSIONS, "ItemCount": 1, "_BilledSize": 803,
}  # fmt: skip
DETAILS = [{"type": "ValueError", "message": "boom", "parsedStack": [{"level": 0, "method": "fit"}]}]
ROWS: dict[str, dict[str, Any]] = {
    "AppTraces": {"Message": "hello", "SeverityLevel": 2},
    "AppExceptions": {"ExceptionType": "ValueError", "OuterMessage": "boom", "SeverityLevel": 3, "Details": DETAILS,
                      "ProblemId": "ValueError at fit"},
    "AppEvents": {"Name": "model registered"},
    "AppMetrics": {"Name": "loss", "Sum": 0.25, "Min": 0.25, "Max": 0.25},
    "AppRequests": {"Id": "r", "Name": "train", "Success": False, "ResultCode": "1", "DurationMs": 5000.5},
    "AppDependencies": {"Id": "d", "Name": "load", "Success": True, "DependencyType": "InProc", "DurationMs": 1000},
    "AppPerformanceCounters": {"Name": "% Processor Time", "Value": 3.1},
}  # fmt: skip
ALL = [{**COMMON, "Type": table, **row} for table, row in ROWS.items()]


def lines(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def in_workspace(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in the form of the data export."""
    rest = {name: value for name, value in row.items() if name not in ("time", "resourceId")}
    return {**rest, "TenantId": "t", "TimeGenerated": row["time"], "Properties": json.dumps(DIMENSIONS)}


FORMS = {
    "diagnostic settings": ("insights-logs-apptraces/y=2026/PT1H.json", lines(ALL)),
    "data export": ("am-AppTraces/y=2026/PT05M.json", lines([*map(in_workspace, ALL)])),
    "event hubs": ("capture.json", json.dumps({"records": ALL}, indent=2).encode()),
    "one record": ("capture.json", json.dumps({"records": ALL}).encode()),
    "array": ("rows.json", json.dumps(ALL).encode()),
    "utf-16": ("rows.json", lines(ALL).decode().encode("utf-16")),
}


@pytest.mark.parametrize(("name", "data"), FORMS.values(), ids=FORMS)
def test_each_form_is_read(read: Callable[..., Insights], name: str, data: bytes) -> None:
    """Every form has the same rows, and one note counts the rows that no question reads."""
    insights = read(data, name)
    errors = insights.errors("run-1")
    assert [(row["itemType"], row["message"]) for row in errors] == [
        ("exception", "boom"),
        ("request", "train"),
    ]
    assert [row["level"] for row in insights.logs("last")] == ["WARNING", "ERROR"]
    assert [(row["name"], row["value"]) for row in insights.metrics()] == [("loss", 0.25)]
    assert [(row["step_name"], row["state"]) for row in insights.steps()] == [("train", "failed")]
    assert insights.steps()[0]["duration_seconds"] == 5.0005
    assert [row["name"] for row in insights.spans()] == ["load"]
    (note,) = errors.notes
    assert note.endswith(": 1 row of AppPerformanceCounters, which no question reads")
    assert errors.reading.unread == () and errors.reading.has_records


def test_a_torn_row_is_reported_and_the_others_are_read(read: Callable[..., Insights]) -> None:
    """The rows after an invalid line of an append blob are read."""
    first, *rest = lines(ALL).splitlines(keepends=True)
    insights = read(first[:40] + b"\n" + b"".join(rest), "PT1H.json")
    assert len(insights.errors("all")) == 2
    assert "1 line could not be read" in insights.errors("all").notes[-1]


def test_other_categories_are_counted(read: Callable[..., Insights]) -> None:
    """The rows of another category are no records, and the answer does not pass for an all-clear."""
    row = {
        "time": "2026-11-22T10:00:00Z",
        "resourceId": "x",
        "category": "AmlComputeJobEvent",
        "properties": {},
    }
    table = read(lines([row, row]), "PT1H.json").errors("all")
    assert (len(table), table.reading.has_records) == (0, False)
    assert table.notes[0].endswith("2 rows of AmlComputeJobEvent, which no question reads")


def test_values_of_other_types(read: Callable[..., Insights]) -> None:
    """Any JSON value in a column gives an answer."""
    odd = [None, 1, "x", [1], {"a": 1}, True, 1e300]
    rows = [{**row, **dict.fromkeys([*row][8:], value)} for row in ALL for value in odd]
    insights = read(
        lines([{**row, "Type": "AppExceptions", "time": COMMON["time"]} for row in rows]), "PT1H.json"
    )
    assert len(insights.logs("all")) >= 0
    assert [*map(to_duration, (None, True, -1, float("nan"), "1"))] == [None] * 5
    assert to_duration(90_061_000.5) == "1.01:01:01.000500"
