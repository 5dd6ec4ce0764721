"""Metric posts and errors, converted for MLflow."""

from __future__ import annotations

import json
from typing import Any

from amllog.exporters.run_metrics import mlflow_values
from amllog.exporters.run_metrics.metric_lines import MetricPost


def test_names_are_valid_for_mlflow() -> None:
    """Invalid characters of names are replaced, and valid names are unchanged."""
    given = ["loss", "val/loss 1.0-a:b_c", "größe", "a(b)%", "/abs", "a//b", "..", "a/../b", ".", "x" * 300]
    assert [mlflow_values.safe_key(name) for name in given] == [
        "loss", "val/loss 1.0-a:b_c", "größe", "a_b__", "_abs", "a__b", "_", "a_.._b", "_", "x" * 250
    ]  # fmt: skip


def test_verdicts_of_errors() -> None:
    """Errors of the line refuse it with a short reason, and errors of the store make it wait."""

    class MLflowError(Exception):
        def __init__(self, code: str, message: str = "", json: Any = None) -> None:
            super().__init__(message)
            self.error_code, self.json = code, json

    azure_error = {"error": {"code": "UserError", "message": "no"}}
    verdicts = [
        mlflow_values.verdict_of(error)
        for error in (
            MLflowError("INVALID_STATE"), MLflowError("INTERNAL_ERROR", json=azure_error), LookupError("run.x"),
            MLflowError("INTERNAL_ERROR", "… Connection refused"), MLflowError("TEMPORARILY_UNAVAILABLE"), OSError(),
            json.JSONDecodeError("no", "", 0),
        )
    ]  # fmt: skip
    assert [f"{verdict.state} {verdict.reason}" for verdict in verdicts] == [
        "refused mlflow: INVALID_STATE", "refused mlflow: UserError", "refused mlflow: LookupError: run.x",
        "waiting mlflow: connection refused", "waiting mlflow: TEMPORARILY_UNAVAILABLE", "waiting mlflow: OSError",
        "waiting mlflow: JSONDecodeError",
    ]  # fmt: skip


def test_steps_of_rows() -> None:
    """Rows without a step are numbered from the given one, and a step of the post is that of the first row."""
    post = MetricPost(
        "r", "azureml.v1.list", "l", {"l": "int"}, [[1], [2]], "2026-01-01T00:00:00.500000Z", None, "id"
    )
    assert [number.step for number in mlflow_values.to_entries(post, 7).numbers] == [7, 8]
    assert [number.step for number in mlflow_values.to_entries(post._replace(step=3), 7).numbers] == [3, 4]
    assert mlflow_values.milliseconds(post.created) == 1_767_225_600_500
