"""Each question: its columns and its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

pytest.importorskip("duckdb")

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions

from .conftest import RUN, envelope, failure, log, step  # isort: skip

NAMES = ("runs", "steps", "logs", "errors", "exceptions", "metrics", "spans", "events", "count", "timeline")
LATER = "2026-11-22T10:00:0{}Z"


def everything() -> list[Any]:
    """Return a run of three steps (one good, one failed, one killed), a record of another run and one of no run."""
    span = {
        "id": "span-1",
        "name": "load",
        "duration": "00:00:01",
        "type": "InProc",
        "success": True,
        "resultCode": "0",
    }
    point = {"metrics": [{"name": "loss", "value": 0.5, "count": 1}]}
    nan = {"name": "acc"}
    return [
        step("train", seconds=5, time=LATER.format(0)),
        log("hello world", time=LATER.format(1), fold="3", run_type="training"),
        log("care", 2, time=LATER.format(2), logger="mine"),
        failure("it failed", time=LATER.format(3)),
        envelope("MetricData", point, LATER.format(4), step="7"),
        envelope("EventData", nan, LATER.format(5), value="NaN", step="8", run_metric_data="{}"),
        envelope("EventData", {"name": "registered"}, LATER.format(6), version="3"),
        envelope(
            "RemoteDependencyData", span, LATER.format(7), parent="|" + "0" * 31 + "1." + "a" * 16 + "."
        ),
        step("score", success=False, time=LATER.format(8), step_id="s2", step_name="score"),
        log("no end", 3, time=LATER.format(9), step_id="s3", step_name="publish"),
        log("elsewhere", 3, time="2026-11-23T10:00:00Z", parent_run_id="other", step_id="o1"),
        log("of no run", time="2026-11-20T10:00:00Z", parent_run_id="", step_id=""),
    ]


@pytest.fixture
def questions(journal: Callable[..., Path]) -> Questions:
    """Return the questions over `everything`."""
    return connect(journal(*everything()).parent)


def of(table: Table, *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of every row."""
    return [tuple(row[name] for name in names) for row in table]


def test_runs(questions: Questions) -> None:
    """A run is failed, open or done, and records without a run are not counted."""
    names = ("parent_run_id", "state", "steps", "ended", "failed", "records", "errors", "warnings")
    assert of(questions.runs(), *names) == [
        (RUN, "failed", 3, 2, 1, 10, 3, 1),
        ("other", "open", 1, 0, 0, 1, 1, 0),
    ]


def test_steps(questions: Questions) -> None:
    """A step that has not ended is open and has no duration."""
    names = ("step_id", "step_name", "state", "duration_seconds", "errors")
    assert of(questions.steps(RUN), *names) == [
        ("s1", "train", "done", 5.0, 1), ("s2", "score", "failed", 5.0, 1), ("s3", "publish", "open", None, 1),
    ]  # fmt: skip


def test_logs(questions: Questions) -> None:
    """Logs and exceptions are in one table in time order."""
    assert of(questions.logs(RUN), "level", "message", "itemType", "type") == [
        ("INFO", "hello world", "trace", ""), ("WARNING", "care", "trace", ""),
        ("ERROR", "it failed", "exception", "ValueError"), ("ERROR", "no end", "trace", ""),
    ]  # fmt: skip
    (row,) = questions.logs(where={"fold": 3})
    assert row["timestamp"] == datetime(2026, 11, 22, 10, 0, 1, tzinfo=timezone.utc)
    assert (row["dimensions"]["fold"], row["operation_Id"], row["step_name"]) == (
        "3",
        "0" * 31 + "1",
        "train",
    )


def test_errors(questions: Questions) -> None:
    """Errors are exceptions, logs at ERROR and failed steps, of one run or of all."""
    assert of(questions.errors(RUN), "message", "itemType", "level") == [
        ("it failed", "exception", "ERROR"), ("score", "request", "ERROR"), ("no end", "trace", "ERROR"),
    ]  # fmt: skip
    assert of(questions.errors(), "message")[-1:] == [("elsewhere",)]
    assert "in fit" in questions.errors(RUN)[0]["stack"]


def test_exceptions(journal: Callable[..., Path]) -> None:
    """Exceptions are grouped by type and location, with the first and last time and the latest message."""
    path = journal(*(failure(f"no {i}", LATER.format(i)) for i in (2, 1, 3)), failure("x", problem="p"))
    (row,) = connect(path).exceptions(contains="NO ")
    assert (row["type"], row["problemId"], row["records"], row["message"]) == (
        "ValueError", "ValueError at train.py:fit", 3, "no 3",
    )  # fmt: skip
    assert (row["first_seen"].second, row["last_seen"].second) == (1, 3)


def test_metrics(questions: Questions) -> None:
    """Metrics have every value, including NaN, and can be pivoted by step."""
    first, second = questions.metrics(RUN)
    assert (first["name"], first["value"], first["step"]) == ("loss", 0.5, 7)
    assert (second["name"], math.isnan(second["value"]), second["step"]) == ("acc", True, 8)
    assert of(questions.metrics(name="loss", pivot="step"), "step", "loss") == [(7, 0.5)]
    with pytest.raises(UsageError, match="pivot='colour'"):
        questions.metrics(pivot="colour")


def test_spans_and_events(questions: Questions) -> None:
    """The parent of a span is the plain id, and the event of a metric is not an event."""
    assert of(questions.spans(), "name", "duration_seconds", "success", "id", "operation_ParentId") == [
        ("load", 1.0, True, "span-1", "a" * 16)
    ]
    assert of(questions.events(), "name") == [("registered",)]
    assert (len(questions.events(name=["x", "registered"])), len(questions.spans(name="x"))) == (1, 0)


def test_count(questions: Questions) -> None:
    """A count is a number, or one row per value of a column or a dimension."""
    assert int(questions.count()) == 6
    assert int(questions.count(level="ERROR", parent_run_id=RUN)) == 2
    assert of(questions.count(RUN, by="level"), "level", "records") == [
        ("ERROR", 2),
        ("INFO", 1),
        ("WARNING", 1),
    ]
    assert of(questions.count(RUN, by=["fold"]), "fold", "records") == [("", 3), ("3", 1)]


@pytest.mark.parametrize("key", ["-x", "f)", "-", "last", "timestamp desc"])
def test_count_by_a_name_that_looks_like_an_order(journal: Callable[..., Path], key: str) -> None:
    """The name of a dimension is neither a direction nor an expression."""
    lines = [log("m", **{key: value}) for value in ("b", "a")]
    assert of(connect(journal(*lines)).count(by=key), key, "records") == [("a", 1), ("b", 1)]


def test_timeline(questions: Questions) -> None:
    """A timeline has everything except plain logs and metrics."""
    kinds = ["request", "trace", "exception", "customEvent", "dependency", "request", "trace"]
    assert [row["itemType"] for row in questions.timeline(RUN)] == kinds


def test_the_four_questions_of_microsofts_guide(questions: Questions) -> None:
    """The questions answer those of the guide: the logs of a run, recent logs, errors, and their number."""
    recent = {"run_type": "training", "since": "2026-11-15"}
    assert len(questions.logs(parent_run_id=RUN)) == 4
    assert len(questions.logs(**recent)) == 1
    assert len(questions.logs(**recent, level="ERROR")) == 0
    assert int(questions.count(**recent, level="INFO")) == 1


# For comparisons of the SQL with the KQL, which the local engine runs.
HARD = st.text(
    st.one_of(st.sampled_from("\"'\\\n\t|%_*?[]{}()$.~/@ "), st.characters(exclude_categories=["Cs", "Cc"])),
    max_size=12,
)
FRAGMENTS = st.sampled_from(
    [
        '" or true //',
        "x' | take 0 | where 'a",
        '") | union exceptions | where ("',
        "*/",
        "\\",
        '\\"',
        "{{x}}",
        "' OR 1=1 --",
    ]
)
TEXTS = st.one_of(HARD, FRAGMENTS)


def comparable(table: Table) -> list[tuple[Any, ...]]:
    """Return sorted rows as strings, in which NaN equals NaN."""
    return sorted(tuple(map(str, row.values())) for row in table)


def assert_both_engines_agree(questions: Questions, table: Table) -> None:
    """Assert that the KQL of both dialects returns the rows of the SQL."""
    for text in (table.kql, table.kql_workspace):
        free = questions.store.query(text)
        assert free.names == table.names
        typed = Table.of(table.columns, [tuple(row.values()) for row in free])
        assert comparable(typed) == comparable(table), text
