"""Runs, metrics and filters in MLflow's format."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.local.http.request import Refusal
from amllog.local.mlflow import conversion

RUN: Any = {
    "info": {"run_id": "r1", "run_name": "fold 1", "status": "FINISHED", "start_time": 5},
    "data": {
        "metrics": [{"key": "f1", "value": 0.8}],
        "params": [{"key": "lr", "value": "0.1"}],
        "tags": [{"key": "mlflow.parentRunId", "value": "p"}],
    },
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True), ("metrics.f1 > 0.5", True), ("metrics.f1 >= 0.9", False), ("metrics.none > 0", False),
        ("params.lr = '0.1' and attributes.status = 'FINISHED'", True), ("tags.`mlflow.parentRunId` = 'q'", False),
        ("run_name != 'x'", True), ('tags."mlflow.parentRunId" = "p" AND metrics.f1 < 1', True),
    ],
)  # fmt: skip
def test_filters(condition: str, expected: bool) -> None:
    """Comparisons that are joined by `and` select runs."""
    assert conversion.matches(RUN, condition) is expected


@given(st.text(), st.sampled_from(["", "metrics.f1 > ", "tags.x = "]))
def test_any_filter(text: str, beginning: str) -> None:
    """Any filter selects or is rejected."""
    with contextlib.suppress(Refusal):
        assert conversion.matches(RUN, beginning + text) in (True, False)


@given(st.floats() | st.text(), st.integers() | st.none())
def test_any_metric(value: object, time: object) -> None:
    """Any value becomes a metric that is read again with the same number, or is rejected."""
    try:
        metric = conversion.to_metric({"key": "a", "value": value, "timestamp": time, "step": 3})
    except Refusal:
        return
    (point,) = conversion.to_points(metric, "a")
    assert point["step"] == 3
    assert repr(float(point["value"])) == repr(float(value))
