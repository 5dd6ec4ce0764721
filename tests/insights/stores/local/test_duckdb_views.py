"""Envelopes of all SDKs as columns of the service."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("duckdb")

from amllog.insights import connect
from amllog.insights.questions import Questions
from amllog.insights.stores.local import duckdb_views
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.python_store import PythonStore

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

IKEY = "00000000-0000-0000-0000-000000000000"
REAL = Path(__file__).parents[3] / "end_to_end" / "test_real_clients.py"

DOTNET_EXCEPTION = {
    "name": f"Microsoft.ApplicationInsights.{IKEY.replace('-', '')}.Exception",
    "time": "2026-11-22T10:00:00.1234567Z",
    "iKey": IKEY,
    "tags": {
        "ai.application.ver": "1.0.0.0", "ai.cloud.roleInstance": "web1", "ai.operation.id": "4bf92f3577b34da6",
        "ai.operation.parentId": "|4bf92f3577b34da6.1.", "ai.internal.sdkVersion": "dotnet:2.22.0-997",
    },
    "data": {
        "baseType": "ExceptionData",
        "baseData": {
            "ver": 2,
            "exceptions": [
                {"id": 1, "outerId": 0, "typeName": "System.AggregateException", "message": "One or more errors",
                 "hasFullStack": True, "parsedStack": [
                     {"level": 0, "method": "App.Main", "assembly": "App, Version=1.0.0.0", "line": 7}]},
                {"id": 2, "outerId": 1, "typeName": "System.IO.IOException", "message": 'no "typeName": here',
                 "hasFullStack": True, "stack": "at App.Read()"},
            ],
            "severityLevel": "Critical",
        },
    },
}  # fmt: skip
JAVASCRIPT_DEPENDENCY = {
    "time": "2026-11-22T12:00:00.123+02:00",
    "iKey": IKEY,
    "name": f"Microsoft.ApplicationInsights.{IKEY}.RemoteDependency",
    "tags": {"ai.cloud.role": "front", "ai.device.type": "Browser", "ai.location.ip": "10.0.0.1"},
    "sampleRate": 25,
    "data": {
        "baseType": "RemoteDependencyData",
        "baseData": {
            "id": "|abc.def.", "ver": 2, "name": "GET /api", "resultCode": "500", "duration": "00:00:01.2345",
            "success": False, "data": "GET https://x/api", "target": "x", "type": "Fetch",
            "properties": {"n": 1, "b": True},            "measurements": {"size": 12.5},
        },
    },
}  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    """Every column of `records`."""
    table = Engine().run(f"SELECT * FROM ({duckdb_views.records([path])}) ORDER BY timestamp, itemType")
    return [dict(zip(table.names, row)) for row in table.rows]


def some(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """A few values of a row."""
    return tuple(row[name] for name in names)


def test_an_exception_of_dotnet(journal: Callable[..., Path]) -> None:
    """The outer and the innermost exception, a severity by name, no properties, and a computed problem id."""
    (row,) = rows(journal(DOTNET_EXCEPTION))
    assert row["timestamp"].isoformat() == "2026-11-22T10:00:00.123456"
    assert some(row, "itemType", "severityLevel", "type", "outerMessage", "innermostType", "innermostMessage") == (
        "exception", 4, "System.AggregateException", "One or more errors", "System.IO.IOException",
        'no "typeName": here',
    )  # fmt: skip
    assert some(row, "problemId", "method", "assembly", "application_Version", "customDimensions") == (
        "System.AggregateException at App.Main", "App.Main", "App, Version=1.0.0.0", "1.0.0.0", "{}",
    )  # fmt: skip
    outer, inner = json.loads(row["details"])
    assert (outer["type"], inner["rawStack"], inner["message"]) == (
        "System.AggregateException", "at App.Read()", 'no "typeName": here',
    )  # fmt: skip


def test_a_dependency_of_javascript(journal: Callable[..., Path]) -> None:
    """A time offset, a duration in milliseconds, success as a string, sampling, and dimensions that are not strings."""
    (row,) = rows(journal(JAVASCRIPT_DEPENDENCY))
    assert row["timestamp"].isoformat() == "2026-11-22T10:00:00.123000"
    assert some(row, "success", "resultCode", "duration", "performanceBucket", "itemCount", "client_IP", "target") == (
        "False", "500", pytest.approx(1234.5), "1sec-3sec", 4, "0.0.0.0", "x",
    )  # fmt: skip
    assert (json.loads(row["customDimensions"]), json.loads(row["customMeasurements"])) == (
        {"n": 1, "b": True}, {"size": 12.5},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [
        ("0.00:00:01.500000", 1500),
        ("1.01:01:01.0000000", 90061000),
        ("00:00:02", 2000),
        ("00:00:00.0010000", 1),
    ],
)
def test_durations(journal: Callable[..., Path], duration: str, milliseconds: float) -> None:
    """Durations are converted in the forms that SDKs write, with and without days."""
    base = {"id": "1", "name": "r", "duration": duration, "responseCode": 200, "success": True}
    (row,) = rows(
        journal({"time": "2026-11-22T10:00:00Z", "data": {"baseType": "RequestData", "baseData": base}})
    )
    assert some(row, "duration", "success", "resultCode") == (pytest.approx(milliseconds), "True", "200")


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (0, 0),
        (4, 4),
        (5, 4),
        ("Verbose", 0),
        ("information", 1),
        ("Warning", 2),
        ("Error", 3),
        (None, None),
        ("?", None),
    ],
)
def test_severities(journal: Callable[..., Path], severity: object, expected: int | None) -> None:
    """A number or a name is converted, and a missing severity is null."""
    base = {"message": "m", "severityLevel": severity}
    (row,) = rows(
        journal({"time": "2026-11-22T10:00:00Z", "data": {"baseType": "MessageData", "baseData": base}})
    )
    assert row["severityLevel"] == expected


def test_metrics_views_and_availability(journal: Callable[..., Path]) -> None:
    """An aggregation has its count and range, and a single value has its own. Other types have tables."""
    points = [
        {"name": "m", "value": 10, "count": 4, "min": 1, "max": 5, "stdDev": 0.5, "kind": 1},
        {"name": "m", "value": 2},
    ]
    metrics = [
        {
            "time": f"2026-11-22T10:00:0{i}Z",
            "data": {"baseType": "MetricData", "baseData": {"metrics": [point]}},
        }
        for i, point in enumerate(points)
    ]
    view = {
        "time": "2026-11-22T10:00:02Z",
        "data": {"baseType": "PageViewData", "baseData": {"name": "p", "url": "u"}},
    }
    test = {"name": "a", "runLocation": "West", "success": True, "duration": "00:00:01", "id": "1"}
    available = {"time": "2026-11-22T10:00:03Z", "data": {"baseType": "AvailabilityData", "baseData": test}}
    table = rows(journal(*metrics, view, available))
    values = [
        some(row, "value", "valueCount", "valueSum", "valueMin", "valueMax", "valueStdDev")
        for row in table[:2]
    ]
    assert values == [(10, 4, 10, 1, 5, 0.5), (2, 1, 2, 2, 2, None)]
    assert some(table[2], "itemType", "name", "url") == ("pageView", "p", "u")
    assert some(table[3], "itemType", "location", "success") == ("availabilityResult", "West", "True")


@pytest.mark.parametrize(
    "line",
    [
        '{"time":"2026-11-22T10:00:00Z","da',
        "\0\0\0\n",
        "[1]\n",
        '"x"\n',
        "{}\n",
        '{"time":"soon","data":{"baseType":"MessageData","baseData":{"message":"m"}}}\n',
        '{"time":"2026-11-22T10:00:00Z","data":{"baseType":"Strange","baseData":{}}}\n',
        '{"time":"2026-11-22T10:00:00Z","data":7}\n',
    ],
)
def test_lines_without_a_record_have_no_row(journal: Callable[..., Path], line: str) -> None:
    """Torn lines, other JSON, an invalid time and an unknown type have no row."""
    assert rows(journal(line)) == []


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="the stock handler has no lock, which logging needs from 3.13 on"
)
def test_the_stock_handler_of_opencensus(azure: AzureOnThisMachine, child: Any) -> None:
    """Logs, exceptions, events and spans are read as the package of OpenCensus sends them."""
    ran = child(_real().OPENCENSUS, env=_stock(azure))
    assert ran.returncode == 0, ran.stderr
    questions = connect(azure.directory / "received")
    (warning, failed) = questions.logs()
    assert (warning["level"], warning["message"], warning["step_id"]) == ("WARNING", "hello world", "s1")
    assert (failed["level"], failed["type"], failed["itemType"]) == (
        "ERROR",
        "ZeroDivisionError",
        "exception",
    )
    assert failed["message"].startswith("boom") and "in <module>" in failed["stack"]
    assert [row["name"] for row in questions.events()] == ["model registered"]
    (span,) = questions.spans()
    assert (span["name"], span["success"], span["operation_ParentId"]) == ("load data", True, "")


STOCK_METRICS = """
from opencensus.ext.azure import metrics_exporter
from opencensus.stats import aggregation, measure, stats, view
from opencensus.tags import tag_key, tag_map, tag_value

recorder, views = stats.stats.stats_recorder, stats.stats.view_manager
loss, rows = measure.MeasureFloat("loss", "", "1"), measure.MeasureInt("rows", "", "1")
step = tag_key.TagKey("step_name")
views.register_view(view.View("loss", "", [step], loss, aggregation.LastValueAggregation()))
views.register_view(view.View("rows", "", [], rows, aggregation.SumAggregation()))
tags = tag_map.TagMap()
tags.insert(step, tag_value.TagValue("train"))
for value in (0.5, 0.25):
    measured = recorder.new_measurement_map()
    measured.measure_float_put(loss, value)
    measured.measure_int_put(rows, 3)
    measured.record(tags)
exporter = metrics_exporter.new_metrics_exporter(export_interval=600)
exporter.export_metrics(stats.stats.get_metrics())
"""


def test_the_metrics_exporter_of_opencensus(azure: AzureOnThisMachine, child: Any) -> None:
    """Both stores read the values, tags, UTC times and process counters of the exporter."""
    pytest.importorskip("opencensus.ext.azure.metrics_exporter")
    ran = child(STOCK_METRICS, env=_stock(azure))
    assert ran.returncode == 0, ran.stderr
    received = azure.directory / "received"
    table = connect(received).metrics(name=["loss", "rows"])
    metrics = {(row["name"], row["value"], row["step_name"], row["step"]) for row in table}
    assert metrics == {("loss", 0.25, "train", None), ("rows", 6.0, "", None)}
    sent = {envelope["time"] for envelope in azure.envelopes}
    assert {row["timestamp"].replace(tzinfo=None).isoformat() for row in table} <= sent
    assert all(row["timestamp"].utcoffset() == timedelta(0) for row in table)
    names = {row["name"] for row in connect(received).metrics()}
    assert {"\\Memory\\Available Bytes", "loss"} <= names
    plain = Questions(PythonStore([received])).metrics()
    assert sorted(map(str, plain)) == sorted(map(str, connect(received).metrics()))


@pytest.mark.skipif(
    sys.version_info < (3, 10), reason="azure-monitor-opentelemetry-exporter needs Python 3.10"
)
def test_the_opentelemetry_exporter(azure: AzureOnThisMachine, child: Any) -> None:
    """Logs, exceptions, events, spans, requests and metrics are read as the package of OpenTelemetry sends them."""
    pytest.importorskip("azure.monitor.opentelemetry.exporter")
    ran = child(_real().OPENTELEMETRY, env=_stock(azure))
    assert ran.returncode == 0, ran.stderr
    questions = connect(azure.directory / "received")
    logs = [(row["level"], row["message"], row["type"]) for row in questions.logs()]
    assert logs == [("WARNING", "hello", ""), ("ERROR", "boom", "ZeroDivisionError")]
    assert "ZeroDivisionError" in questions.errors()[0]["stack"]
    assert [row["name"] for row in questions.events()] == ["model registered"]
    (span,) = questions.spans()
    requests = [row for row in questions.timeline() if row["itemType"] == "request"]
    assert [(row["message"], row["id"]) for row in requests] == [("step", span["operation_ParentId"])]
    assert ("rows", 5.0) in [(row["name"], row["value"]) for row in questions.metrics()]


def _real() -> Any:
    """The scripts of stock SDKs that the loopback Azure is tested with."""
    spec = importlib.util.spec_from_file_location("real_clients", REAL)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # the file is there
    spec.loader.exec_module(module)  # type: ignore[union-attr]  # and has a loader
    return module


def _stock(azure: AzureOnThisMachine) -> dict[str, str]:
    return {**_real().QUIET, "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string}
