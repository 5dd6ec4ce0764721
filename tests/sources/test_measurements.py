"""The records of metrics, events and spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import amllog


@pytest.fixture
def envelopes(tmp_path: Path) -> Any:
    """Set amllog up. Return a function that returns the envelopes in the journal."""
    amllog.setup(directory=tmp_path / "j", driver_level="CRITICAL")
    return lambda: [json.loads(line) for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]


def test_metric(envelopes: Any) -> None:
    """A metric has a name, a number and a step, and outside a job it is not addressed to run history."""
    amllog.get_logger("x").metric("loss", 0.25, step=7, fold=1)
    (envelope,) = envelopes()
    data = envelope["data"]["baseData"]
    assert data["metrics"] == [{"name": "loss", "value": 0.25, "count": 1}]
    assert (data["properties"]["step"], data["properties"]["fold"]) == ("7", "1")
    assert "run_metric" not in data["properties"]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**70, 8e307, 5e-324, -0.0])
def test_extreme_numbers(envelopes: Any, number: float) -> None:
    """Numbers beyond 64 bits become the nearest double."""
    amllog.get_logger("x").metric("m", number)
    (envelope,) = envelopes()
    assert envelope["data"]["baseData"]["metrics"][0]["value"] == float(number)


def test_long_names(envelopes: Any) -> None:
    """Names are truncated to the service's limits, with a mark."""
    log = amllog.get_logger("x")
    log.event("e" * 1000)
    with log.span("s" * 2000):
        pass
    event, span = (envelope["data"]["baseData"]["name"] for envelope in envelopes())
    assert (len(event), len(span)) == (512, 1024) and "cut from" in event and "cut from" in span


def test_levels_do_not_apply(tmp_path: Path) -> None:
    """Metrics, events and spans are recorded and sent at every level."""
    key = "00000000-0000-0000-0000-0000000010ca"
    log = amllog.setup(directory=tmp_path / "j", level="CRITICAL", connection_string=key, exporter="none")
    log.metric("m", 1)
    log.event("e")
    with log.span("s"):
        log.error("below")
    lines = [json.loads(line) for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]
    assert [(line["data"]["baseType"], line.get("iKey")) for line in lines] == [
        ("MetricData", key), ("EventData", key), ("RemoteDependencyData", key),
    ]  # fmt: skip


def test_span_times(envelopes: Any) -> None:
    """The time of a span is its beginning, and its parent is the span around it."""
    log = amllog.get_logger("x")
    with log.span("outer"):
        log.info("inside")
        with log.span("inner"):
            pass
    message, inner, outer = envelopes()
    assert outer["time"] <= message["time"] and outer["time"] <= inner["time"]
    for record in (message, inner):
        assert record["tags"]["ai.operation.parentId"] == outer["data"]["baseData"]["id"]
    assert outer["tags"]["ai.operation.parentId"] == amllog.identity().span_id
