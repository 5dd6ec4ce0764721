"""Values of records that no SDK writes: no command ends with an error, and the other records are in the answers."""

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
    """A metric with this value."""
    return envelope("MetricData", {"metrics": [{"name": "loss", "value": value}]})


def folded(data: str) -> dict[str, Any]:
    """A run metric of several numbers, with this text as its data."""
    return envelope("EventData", {"name": "loss"}, run_metric="row", run_metric_data=data, value="")


def with_properties(text: str) -> dict[str, Any]:
    """A log line whose dimensions are this text."""
    one = log("m")
    one["data"]["baseData"]["properties"] = text
    return one


def lasting(duration: str) -> dict[str, Any]:
    """The end of a step after this duration."""
    one: dict[str, Any] = step("train")
    one["data"]["baseData"]["duration"] = duration
    return one


def thrown(**own: Any) -> dict[str, Any]:
    """An exception with these members."""
    return envelope("ExceptionData", {"exceptions": [{"typeName": "E", "message": "m", **own}]})


VALUES = {
    "dimensions that are nested too deeply": with_properties(DEEP),
    "a stack that is nested too deeply": thrown(stack=DEEP),
    "data of a run metric that is nested too deeply": folded('{"columns":' + DEEP),
    "a whole number beyond all others": metric(LARGE),
    "the same in a run metric": folded(f'{{"columns":{{"a":"double"}},"rows":[[{LARGE}]]}}'),
    "the smallest": metric(-LARGE),
    "a duration beyond the calendar": lasting(DAYS),
    "a duration without an end": lasting("9" * 310 + ".00:00:00"),
    "an empty message": log(""),
    "an error with an empty message": log("", 3),
    "an exception without a word": thrown(typeName="", message=""),
}


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("kind", VALUES)
def test_no_value_ends_an_answer(journal: Callable[..., Path], store: Any, kind: str) -> None:
    """One hostile value in a journal leaves every question, the story and the tree of the run answered."""
    kept = store([journal(log("good"), VALUES[kind]).parent])
    insights = Insights(kept, None, kept.journals)
    found: list[Table] = [
        getattr(insights, name)() for name in ("runs", "steps", "logs", "metrics", "timeline")
    ]
    assert "good" in [row["message"] for row in found[2]]
    assert [row["parent_run_id"] for row in found[0]].count(RUN) == 1
    for told in (insights.story(RUN), insights.compare(RUN, RUN), insights.tree(RUN)):
        assert told.text
    assert all(json.loads(table.to_json()) is not None for table in found)


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("name", ["errors", "exceptions", "metrics", "logs"])
def test_a_torn_line_may_be_anything(journal: Callable[..., Path], store: Any, name: str) -> None:
    """An answer without a row says that a line of the run could not be read: it may have been an error."""
    kept = store([journal(log("good"), '{"time":"2026-11-22T10:00:01Z","iK').parent])
    insights = Insights(kept, None, kept.journals)
    for found in (getattr(insights, name)(), getattr(insights, name)(RUN)):
        assert [note.partition(" ")[0] for note in found.notes] == ["1"], found.notes
