"""Lists, rows and tables of run metrics become one row per number, the same in every store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.insights import connect, metric_rows
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from .conftest import RUN, envelope  # isort: skip

LOGGED = """
import amllog
run = amllog.setup(step_name="train").run
run.log("loss", 0.5)
run.log_list("accuracy", [0.25, 0.5])
run.log_list("accuracy", [0.75])
run.log_row("eval", auc=0.5, fold="a", f1=float("inf"))
run.log_row("eval", auc=0.75, fold="b", f1=1)
run.log_table("table", {"x": [1, 2], "y": ["a", "b"]})
run.log("odd", float("-inf"))
run.log("text", "no number")
run.tag("columns", "tag")
"""


def metric(name: str, columns: dict[str, str], *rows: list[Any], **properties: Any) -> Any:
    """Return a run metric of several numbers, as `log.run` writes it."""
    data = json.dumps({"columns": columns, "rows": rows, **properties.pop("data", {})})
    return envelope("EventData", {"name": name}, run_metric_data=data, **properties)


def folded() -> list[Any]:
    """Return metrics of every form, and events that are not metrics."""
    return [
        metric("l", {"l": "double"}, [1], [2.5], ["NaN"]),
        metric("l", {"l": "int"}, [4]),
        metric("r", {"x": "int", "r": "double", "s": "string"}, [3, 0.5, "7"], data={"step": 9}),
        metric("o", {"o": "double"}, ["Infinity"], step="5"),
        metric("t", {"t": "string"}, ["7"]),
        metric("b", {"b": "bool"}, [True]),
        metric("short", {"a": "int", "b": "int"}, [1]),
        envelope("EventData", {"name": "torn"}, run_metric_data='{"columns": {"a": "int"}, "rows": [[1'),
        envelope("EventData", {"name": "call"}, run_metric_data='{"tags": {"columns": "rows"}}'),
    ]


def summary(table: Table) -> list[tuple[Any, ...]]:
    """Return the name, value and step of every row."""
    return [(row["name"], str(row["value"]), row["step"]) for row in table]


ROWS = [("l", "1.0", 0), ("l", "2.5", 1), ("l", "nan", 2), ("l", "4.0", 3), ("r.x", "3.0", 9), ("r", "0.5", 9),
        ("o", "inf", 5)]  # fmt: skip


def test_what_a_script_logs(child: Any, tmp_path: Path) -> None:
    """Every number that `log.run` logs is a row and can be pivoted, but strings and tags are not."""
    assert child(LOGGED).returncode == 0
    questions = connect(tmp_path / ".amllog")
    assert summary(questions.metrics()) == [
        ("loss", "0.5", None),
        ("accuracy", "0.25", 0),
        ("accuracy", "0.5", 1),
        ("accuracy", "0.75", 2),
        ("eval.auc", "0.5", 0),
        ("eval.f1", "inf", 0),
        ("eval.auc", "0.75", 1),
        ("eval.f1", "1.0", 1),
        ("table.x", "1.0", 0),
        ("table.x", "2.0", 1),
        ("odd", "-inf", None),
    ]
    pivoted = questions.metrics(name=["accuracy", "eval"], pivot="step")
    assert [tuple(row.values()) for row in pivoted] == [
        (0, 0.25, 0.5, float("inf")),
        (1, 0.5, 0.75, 1.0),
        (2, 0.75, None, None),
    ]


def test_every_store_agrees(journal: Callable[..., Path]) -> None:
    """Both local stores return the same rows, without the data of the record in the dimensions."""
    path = journal(*folded()).parent
    plain, fast = Questions(PythonStore([path])).metrics(RUN), connect(path).metrics(RUN)
    assert summary(plain) == summary(fast) == ROWS
    assert not any(metric_rows.DATA in row["dimensions"] for row in fast)


def test_the_kql_finds_the_records(journal: Callable[..., Path]) -> None:
    """The KQL of both dialects selects the records that are unfolded to the rows of the answer."""
    pytest.importorskip("duckdb")
    questions = connect(journal(*folded()).parent)
    table = questions.metrics()
    for text in (table.kql, table.kql_workspace):
        free = questions.store.query(text)
        typed = Table.of(table.columns, [tuple(row.values()) for row in free])
        assert summary(metric_rows.unfold(typed)) == summary(table) == ROWS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l", ["l"] * 4),
        ("r", ["r.x", "r"]),
        ("r.x", ["r.x"]),
        (["r.x", "o"], ["r.x", "o"]),
        ("x", []),
        ("r.s", []),
    ],
)
def test_names(journal: Callable[..., Path], name: Any, expected: list[str]) -> None:
    """The name of a metric selects all its columns, and that of a column only this one."""
    questions = connect(journal(*folded()).parent)
    assert [row["name"] for row in questions.metrics(name=name)] == expected


def test_damaged_metrics_are_counted(journal: Callable[..., Path]) -> None:
    """Run metrics with torn or inconsistent data are counted in a note, in every store."""
    path = journal(*folded())
    for store in (DuckDBStore, PythonStore):
        assert Questions(store([path])).metrics().notes == (
            "2 run metrics left out: the data cannot be read",
        )
        assert not Questions(store([path])).metrics(name="l").notes


def metrics_of_runs() -> list[Any]:
    """Return one number each of the step, a child run, runs of MLflow with equal names, and another random id."""
    ids = {"": "", "s1.kid": "", "a" * 32: "fit", "b" * 32: "fit", "c" * 32: "", RUN: ""}
    data = {"metrics": [{"name": "loss", "value": 1}]}
    marks = [{"run_id": run_id, "run_name": name} for run_id, name in ids.items()]
    return [
        envelope("MetricData", data, **{key: value for key, value in pair.items() if value}) for pair in marks
    ]


def test_metrics_of_other_runs(journal: Callable[..., Path]) -> None:
    """The summary has one row per run, with a unique name of each run that is not its step."""
    path = journal(*metrics_of_runs())
    expected = ["", "kid", "fit (aaaaaaaa)", "fit (bbbbbbbb)", "cccccccc", "parent run"]
    for store in (DuckDBStore, PythonStore):
        metrics = Questions(store([path])).metrics()
        assert [row["run"] for row in metric_rows.summarize_series(metrics)] == expected
        assert [row["run"] for row in metric_rows.with_runs(metrics)] == expected


def test_no_column_without_other_runs(journal: Callable[..., Path]) -> None:
    """Without metrics of other runs, the answer has no column for them."""
    metrics = connect(journal(*folded()).parent).metrics()
    assert "run" not in (*metric_rows.summarize_series(metrics).names, *metric_rows.with_runs(metrics).names)
