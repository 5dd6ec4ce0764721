"""Comparisons of two runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amllog.insights.insights import Insights
from amllog.insights.reports.comparison import Comparison
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import envelope, failure, log, step  # isort: skip


def metric(name: str, value: float, second: int = 0, **properties: Any) -> Any:
    """Return the envelope of one metric value."""
    point = {"metrics": [{"name": name, "value": value, "count": 1}]}
    return envelope("MetricData", point, f"2026-11-22T10:00:{second:02d}Z", **properties)


def compared(journal: Callable[..., Path]) -> Comparison:
    """Return the comparison of a run of three steps with a later one that stopped in the second step."""
    first: dict[str, Any] = {"parent_run_id": "r1"}
    second: dict[str, Any] = {"parent_run_id": "r2", "time": "2026-11-23T10:00:00Z"}
    path = journal(
        step("train", seconds=5, step_id="a1", **first), log("batch 17", step_id="a1", **first),
        log("only then", 2, step_id="a1", **first), metric("loss", 0.9, step_id="a1", **first),
        metric("loss", 0.5, 5, step_id="a1", **first), metric("acc", 0.7, step_id="a1", **first),
        step("score", step_name="score", step_id="a2", **first),
        step("train", seconds=8, step_id="b1", **second), log("batch 18", step_id="b1", **second),
        log("batch 19", step_id="b1", **second), failure("it broke in 3", step_id="b1", **second),
        failure("it broke in 4", step_id="b1", **second),
        metric("loss", 0.25, 5, step_id="b1", parent_run_id="r2"),
    )  # fmt: skip
    return Insights(PythonStore([path])).compare("last~1", "last")


def test_two_runs(journal: Callable[..., Path]) -> None:
    """A comparison has seconds, last values, messages and levels, with None for a value that a run does not have."""
    comparison = compared(journal)
    assert (comparison.first, comparison.second) == ("r1", "r2")
    names = ("step_name", "first_state", "second_state", "first", "second", "difference")
    assert [tuple(row[name] for name in names) for row in comparison.steps] == [
        ("train", "done", "done", 5.0, 8.0, 3.0), ("score", "done", "", 5.0, None, None),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in comparison.metrics] == [
        ("train", "acc", 0.7, None, None, "", ""), ("train", "loss", 0.5, 0.25, -0.25, "", ""),
    ]  # fmt: skip
    assert [tuple(row.values())[:5] for row in comparison.messages] == [
        ("new", "ERROR", "train", "it broke in #: ValueError: no", 2), ("gone", "WARNING", "train", "only then", 1),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in comparison.levels] == [
        ("ERROR", 0, 2, 2), ("WARNING", 1, 0, -1), ("INFO", 1, 2, 1),
    ]  # fmt: skip


def test_uncaught_exceptions_differ_by_their_text(journal: Callable[..., Path]) -> None:
    """Records of uncaught exceptions have the same message, so the messages of the exceptions are compared."""

    def uncaught(text: str, run: str) -> Any:
        exception = failure("Uncaught exception", parent_run_id=run, step_id=f"{run}-train")
        exception["data"]["baseData"]["exceptions"][0]["message"] = f"Uncaught exception: {text}\nmore"
        return exception

    path = journal(uncaught("out of memory", "r1"), uncaught("no such file /a/b.csv", "r2"))
    comparison = Insights(PythonStore([path])).compare("r1", "r2")
    assert [(row["change"], row["pattern"]) for row in comparison.messages] == [
        ("new", "Uncaught exception: ValueError: no such file …/b.csv"),
        ("gone", "Uncaught exception: ValueError: out of memory"),
    ]


def test_messages_of_a_step_in_one_run_only(journal: Callable[..., Path]) -> None:
    """The text lists only warnings of a step that the other run does not have, and the table has all messages."""
    train: dict[str, Any] = {"step_id": "train"}
    score: dict[str, Any] = {"step_name": "score", "step_id": "score", "parent_run_id": "r1"}
    path = journal(
        log("gone", parent_run_id="r1", **train), log("scored", **score), log("odd", 2, **score),
        log("x", parent_run_id="r2", **train),
    )  # fmt: skip
    comparison = Insights(PythonStore([path])).compare("r1", "r2")
    assert [row["message"] for row in comparison.messages if row["change"] == "gone"] == [
        "odd",
        "scored",
        "gone",
    ]
    text = comparison.text.partition("only in the first")[2]
    assert (
        text
        == ": 3\n  WARNING  score: odd\n  INFO     train: gone\n  1 in steps that are not in the second run: score"
    )


def folded(name: str, columns: str, rows: str, time: str = "2026-11-22T10:00:00Z", **properties: Any) -> Any:
    """Return the envelope of a list, a row or a table of `log.run`."""
    data = f'{{"columns": {columns}, "rows": {rows}}}'
    return envelope("EventData", {"name": name}, time, run_metric="row", run_metric_data=data, **properties)


def test_metrics_of_several_numbers_and_of_none(journal: Callable[..., Path]) -> None:
    """The last number of a list or of a column of rows is compared, or the text of a metric without a number."""
    later = "2026-11-22T11:00:00Z"
    first: dict[str, Any] = {"parent_run_id": "r1", "step_id": "a"}
    second: dict[str, Any] = {"parent_run_id": "r2", "step_id": "b", "time": "2026-11-23T10:00:00Z"}
    path = journal(
        folded("folds", '{"folds": "double"}', "[[0.1], [0.3]]", **first),
        folded("eval", '{"f1": "double", "of": "string"}', '[[0.5, "x"]]', later, **first),
        folded("eval", '{"f1": "double", "of": "string"}', '[[0.4, "x"]]', **first),
        folded("best", '{"best": "string"}', '[["adam w"]]', **first),
        folded("folds", '{"folds": "double"}', "[[0.2], [0.4]]", **second),
        folded("best", '{"best": "string"}', '[["sgd"]]', **second),
    )  # fmt: skip
    insights = Insights(PythonStore([path]))
    values = {
        row["name"]: (row["records"], row["last_value"], row["last_text"])
        for row in insights.last_values("r1")
    }
    assert values == {"folds": (2, 0.3, ""), "eval.f1": (2, 0.5, ""), "best": (1, None, "adam w")}
    comparison = insights.compare("r1", "r2")
    assert [tuple(row.values())[1:] for row in comparison.metrics] == [
        ("best", None, None, None, "adam w", "sgd"), ("eval.f1", 0.5, None, None, "", ""),
        ("folds", 0.3, 0.4, 0.4 - 0.3, "", ""),
    ]  # fmt: skip
    assert re.search(r"best +adam w +sgd\n", comparison.text)
    assert 'best="adam w", eval.f1=0.5, folds=0.3' in insights.story("r1").text


def test_formats(journal: Callable[..., Path]) -> None:
    """A comparison converts to text, HTML and JSON."""
    comparison = compared(journal)
    text = repr(comparison)
    assert "train  done  done  5  8  +3 (+60%)" in re.sub(r" {3,}", "  ", text)
    assert "messages only in the second: 1\n  2 × ERROR    train: it broke in #: ValueError: no" in text
    assert "<h4>messages</h4><table>" in comparison._repr_html_()
    members = json.loads(comparison.to_json())
    assert (members["first"], members["levels"][0]["second"]) == ("r1", 2)
    assert [len(members[name]) for name in ("steps", "metrics", "messages")] == [2, 2, 2]


def test_many_messages_are_counted(journal: Callable[..., Path]) -> None:
    """The text lists forty messages and counts the others."""
    words = ["".join(letters) for letters in zip("abcdefghijklmnopqrstuvwxyz" * 2, "a" * 26 + "b" * 26)]
    path = journal(log("x", parent_run_id="r1"), *(log(word, parent_run_id="r2") for word in words))
    comparison = Insights(PythonStore([path])).compare("r1", "r2")
    assert len(comparison.messages) == 53
    assert "… and 12 more: .messages has all" in comparison.text
    assert "messages only in the first: 1" in comparison.text
