"""Values that no SDK writes: all commands work, and the other records are in the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.insights.insights import Insights
from amllog.insights.query.result import Table
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ...insights.conftest import RUN, envelope, log, step  # isort: skip

DEEP = "[" * 50_000
LARGE = 10**400
DAYS = "99999999.00:00:00"


def metric(value: Any) -> dict[str, Any]:
    """Return a metric with this value."""
    return envelope("MetricData", {"metrics": [{"name": "loss", "value": value}]})


def row_metric(data: str) -> dict[str, Any]:
    """Return a row metric with this string as its data."""
    return envelope("EventData", {"name": "loss"}, run_metric="row", run_metric_data=data, value="")


def with_properties(text: str) -> dict[str, Any]:
    """Return a log line with this string as its dimensions."""
    envelope = log("m")
    envelope["data"]["baseData"]["properties"] = text
    return envelope


def lasting(duration: str) -> dict[str, Any]:
    """Return the end of a step with this duration."""
    envelope: dict[str, Any] = step("train")
    envelope["data"]["baseData"]["duration"] = duration
    return envelope


def exception(**members: Any) -> dict[str, Any]:
    """Return an exception with these members."""
    return envelope("ExceptionData", {"exceptions": [{"typeName": "E", "message": "m", **members}]})


VALUES = {
    "dimensions that are nested too deeply": with_properties(DEEP),
    "a stack that is nested too deeply": exception(stack=DEEP),
    "data of a run metric that is nested too deeply": row_metric('{"columns":' + DEEP),
    "an integer beyond 64 bits": metric(LARGE),
    "the same in a run metric": row_metric(f'{{"columns":{{"a":"double"}},"rows":[[{LARGE}]]}}'),
    "a negative integer beyond 64 bits": metric(-LARGE),
    "a duration beyond the calendar": lasting(DAYS),
    "a duration without an end": lasting("9" * 310 + ".00:00:00"),
    "an empty message": log(""),
    "an error with an empty message": log("", 3),
    "an exception without type and message": exception(typeName="", message=""),
}


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("kind", VALUES)
def test_no_value_ends_an_answer(journal: Callable[..., Path], store: Any, kind: str) -> None:
    """All questions, the story, the comparison and the tree work with one hostile value."""
    reader = store([journal(log("good"), VALUES[kind]).parent])
    insights = Insights(reader, None, reader.journals)
    tables: list[Table] = [
        getattr(insights, name)() for name in ("runs", "steps", "logs", "metrics", "timeline")
    ]
    assert "good" in [row["message"] for row in tables[2]]
    assert [row["parent_run_id"] for row in tables[0]].count(RUN) == 1
    for report in (insights.story(RUN), insights.compare(RUN, RUN), insights.tree(RUN)):
        assert report.text
    assert all(json.loads(table.to_json()) is not None for table in tables)


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("name", ["errors", "exceptions", "metrics", "logs"])
def test_a_torn_line_counts_for_each_question(journal: Callable[..., Path], store: Any, name: str) -> None:
    """An answer without rows has a note about a torn line, which may have been an error."""
    reader = store([journal(log("good"), '{"time":"2026-11-22T10:00:01Z","iK').parent])
    insights = Insights(reader, None, reader.journals)
    for table in (getattr(insights, name)(), getattr(insights, name)(RUN)):
        assert [note.partition(" ")[0] for note in table.notes] == ["1"], table.notes
