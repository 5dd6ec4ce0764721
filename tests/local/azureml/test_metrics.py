"""The stored metrics and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine

from .conftest import metric  # isort: skip

if TYPE_CHECKING:
    from ..conftest import Client


def test_rows_are_ordered_by_time(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Batches arrive in any order, and `full` returns the rows in the order of their creation."""
    second, first = metric("loss", 1, 2), metric("loss", 0)
    second["value"][0]["createdUtc"], second["value"][1]["createdUtc"] = "2026-11-22T01", "2026-11-22T02"
    for batch in (second, first):
        assert client.metric(f"runs/{run}/batch", {"values": [batch]}).json == {"errors": []}
    assert client.metric(f"runs/{run}/list", {}).json["value"] == [{"metricKey": {"name": "loss"}}]
    full = client.metric(f"runs/{run}/full", {"metricName": "loss"}).json
    assert [row["data"]["loss"] for row in full["value"]] == [0, 1, 2]
    assert client.metric(f"runs/{run}/full", {"metricName": "other"}).status == 404
    assert len(azure.metrics(run)) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (metric("n" * 51, 1), "MetricV2Dto.Name/Length"),
        (metric("", 1), "MetricV2Dto.Name"),
        (metric("n", 1, **{f"c{i}": "int" for i in range(16)}), "MetricV2Dto.Columns/Count"),
        (metric("n", 1, **{"c" * 256: "int"}), "MetricV2Dto.Columns/Length"),
        ({**metric("n"), "value": [{"data": {"n": 1}}] * 251}, "MetricV2Dto.Value/Count"),
        (metric("n", "v" * 256), "MetricV2Value.Data/Length"),
        ({**metric("n"), "value": [5]}, "MetricV2Value.Data"),
        ({**metric("n"), "value": 5}, ".Value"),
        ({**metric("n"), "columns": None}, "MetricV2Dto.Columns"),
    ],
)
def test_an_invalid_metric(
    azure: AzureOnThisMachine, client: Client, run: str, bad: object, message: str
) -> None:
    """A metric beyond the limits has its own error, and the others are accepted."""
    errors = client.metric(f"runs/{run}/batch", {"values": [metric("good", 1), bad]}).json["errors"]
    assert len(errors) == 1
    assert message in errors[0]["errorResponse"]["error"]["message"]
    assert azure.values(run) == {"good": [1]}


def test_limits_of_all_metrics(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """A batch has at most 50 metrics and a run 50 names. NaN is not JSON and rejects the batch."""
    many = [metric(f"m{i}", 1) for i in range(51)]
    assert client.metric(f"runs/{run}/batch", {"values": many}).status == 400
    assert client.metric(f"runs/{run}/batch", {"values": many[:50]}).json == {"errors": []}
    assert "Too many metrics" in str(client.metric(f"runs/{run}/batch", {"values": many[50:]}).json["errors"])
    assert client.metric(f"runs/{run}/batch", {"values": [metric("m0", float("nan"))]}).status == 400
    assert client.metric("runs/other/batch", {"values": []}).status == 404
    assert len(azure.values(run)) == 50


def test_metrics_of_the_first_version(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Metrics of version 1, which azureml posts with `AZUREML_METRICS_V2=`, are stored in the same way."""
    schema = {"numProperties": 1, "properties": [{"propertyId": "loss", "name": "loss", "type": "float"}]}
    old = {
        "name": "loss",
        "metricId": "i",
        "schema": schema,
        "cells": [{"loss": 0.5}],
        "metricType": "azureml.v1.scalar",
    }
    path = f"experiments/local/runs/{run}"
    assert client.history("POST", f"{path}/batch/metrics", {"values": [old]}).status == 200
    assert client.history("POST", f"{path}/metrics", old).status == 200
    assert azure.values(run) == {"loss": [0.5, 0.5]}
