"""Metrics that a script logs with MLflow are recorded once for each run, and MLflow stores what it did before."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("mlflow"), reason="mlflow-skinny is not installed"
)
PREAMBLE = """
import os
os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
import amllog
log = amllog.setup(driver_level="CRITICAL")
import mlflow
mlflow.set_tracking_uri("file:" + os.path.abspath("mlruns"))
mlflow.set_experiment("digits")
"""
# In one process, because the import of MLflow takes seconds.
LOGGED = """
from mlflow.entities import Metric
with mlflow.start_run(run_name="parent") as parent:
    mlflow.log_metric("loss", 0.5, step=0)
    mlflow.log_metric("loss", value=0.25, step=1)
    for name in "ab":
        with mlflow.start_run(run_name=name, nested=True):
            mlflow.log_metrics({"loss": 2, "acc": float("nan")}, step=3)
with mlflow.start_run(run_id=parent.info.run_id):
    mlflow.log_metric("resumed", 1)
client = mlflow.MlflowClient()
run = client.create_run(client.get_experiment_by_name("digits").experiment_id, run_name="client").info
client.log_metric(run.run_id, "loss", 9, step=1)
client.log_batch(run.run_id, metrics=[Metric("one", 1, 0, 4), Metric("two", float("inf"), 0, 4)])
client.log_batch(run.run_id, tags=[])
operation = mlflow.log_metric("later", 3, synchronous=False, run_id=run.run_id)
operation.wait()
for wrong in ((run.run_id, "text", "no number"), ("0" * 32, "lost", 1)):
    try: client.log_metric(*wrong)
    except mlflow.exceptions.MlflowException as error: print("raised", type(error).__name__)
print([len(client.get_metric_history(run.run_id, name)) for name in ("loss", "one", "two", "later")])
from mlflow.tracking._tracking_service.client import TrackingServiceClient
hooked = TrackingServiceClient.log_metric
amllog.shutdown()
print(TrackingServiceClient.log_metric is hooked.__wrapped__)
client.log_metric(run.run_id, "after", 1)
"""


def recorded() -> list[tuple[Any, ...]]:
    """Return the run, the name, the value and the step of each metric of MLflow in the journal."""
    lines = [
        json.loads(line)["data"]["baseData"]
        for file in Path(".amllog").glob("*.jsonl")
        for line in file.open()
    ]
    rows = []
    for data in lines:
        properties = data.get("properties", {})
        if properties.get("logger") == "mlflow":
            assert "run_metric" not in properties and len(properties["run_id"]) == 32
            metric = data["metrics"][0] if "metrics" in data else {**data, "value": properties["value"]}
            rows.append((properties.get("run_name"), metric["name"], metric["value"], properties.get("step")))
    return rows


def test_every_way_to_log(child: Any) -> None:
    """Fluent, nested, resumed, by client, in batches and later: each number once, with the name of its run."""
    ran = child(PREAMBLE + LOGGED)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["raised MlflowException"] * 2 + ["[1, 1, 1, 1]", "True"]
    assert recorded() == [
        ("parent", "loss", 0.5, "0"),
        ("parent", "loss", 0.25, "1"),
        ("a", "loss", 2, "3"),
        ("a", "acc", "NaN", "3"),
        ("b", "loss", 2, "3"),
        ("b", "acc", "NaN", "3"),
        ("parent", "resumed", 1, "0"),
        ("client", "loss", 9, "1"),
        ("client", "one", 1, "4"),
        ("client", "two", "Infinity", "4"),
        ("client", "later", 3, "0"),
        (None, "lost", 1, None),
    ]
    shown = child((sys.executable, "-m", "amllog", "metrics")).stdout.splitlines()
    assert [line.split()[1:] for line in shown[:4]] == [
        ["run", "name", "values", "first", "last", "min", "max"],
        ["parent", "loss", "2", "0.5", "0.25", "0.25", "0.5"],
        ["a", "loss", "1", "2", "2", "2", "2"],
        ["a", "acc", "1", "nan", "nan", "nan", "nan"],
    ]


def test_beside_our_own_exporter(child: Any) -> None:
    """If amllog's metrics go to the same run of MLflow, each number is there once and in the journal once."""
    code = PREAMBLE.replace("setup(", "setup(metrics='mlflow', ")
    code += """
with mlflow.start_run(run_name="both") as run:
    mlflow.log_metric("theirs", 0.5)
    log.metric("ours", 1.0)
    print(amllog.flush(200).waiting)
client = mlflow.MlflowClient()
print([len(client.get_metric_history(run.info.run_id, name)) for name in ("theirs", "ours")])
"""
    ran = child(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["0", "[1, 1]"]
    assert recorded() == [("both", "theirs", 0.5, "0")]


def test_autolog(child: Any) -> None:
    """The metrics that autolog logs for scikit-learn are recorded, with the name of its run."""
    code = (
        PREAMBLE
        + """
mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)
from sklearn.linear_model import LinearRegression
with mlflow.start_run(run_name="fit"):
    LinearRegression().fit([[0], [1], [2]], [0, 1, 2])
"""
    )
    ran = child(code)
    assert ran.returncode == 0, ran.stderr
    names = {name for run, name, *_ in recorded() if run == "fit"}
    assert {"training_score", "training_r2_score"} <= names
