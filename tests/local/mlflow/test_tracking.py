"""The real MLflow client in a job of the local Azure."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("mlflow")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}
SCRIPT = """
import math
import os
import mlflow
from mlflow.exceptions import MlflowException
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.log_metrics({"loss": 0.25, "acc": 0.9}, step=2)
    mlflow.log_metric("broken", math.nan)
    mlflow.log_param("lr", 0.1)
    mlflow.set_tag("author", "me")
    mlflow.set_tag("gone", "x")
    mlflow.delete_tag("gone")
    mlflow.log_text("hello", "notes/a.txt")
    mlflow.log_dict({"a": 1}, "b.json")
    mlflow.log_text("again", "notes/a.txt")
    with mlflow.start_run(run_name="fold 1", nested=True) as child:
        mlflow.log_metric("f1", 0.8)
client = mlflow.MlflowClient()
known = client.get_run(run.info.run_id)
assert known.data.metrics["loss"] == 0.25 and math.isnan(known.data.metrics["broken"]), known.data.metrics
assert (known.data.params, known.data.tags["author"]) == ({"lr": "0.1"}, "me")
assert "gone" not in known.data.tags
points = client.get_metric_history(run.info.run_id, "loss")
assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.25)]
assert all(point.timestamp > 10**12 for point in points)
assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["b.json", "notes"]
assert [file.path for file in client.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]
os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = "10"
os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = str(5 * 1024 * 1024)
with open("large.bin", "wb") as file:
    file.write(b"abcdefg" * 1_000_000)
client.log_artifact(run.info.run_id, "large.bin", "parts")
large = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/parts/large.bin", dst_path=".")
assert open(large, "rb").read() == b"abcdefg" * 1_000_000
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/a.txt") == "again"
experiment = client.get_experiment(known.info.experiment_id)
assert experiment.name == "local", experiment
condition = "metrics.f1 > 0.5 and tags.`mlflow.parentRunId` = '%s'" % run.info.run_id
found = client.search_runs([known.info.experiment_id], condition)
assert [one.info.run_id for one in found] == [child.info.run_id]
assert found[0].info.status == "FINISHED" and found[0].info.run_name == "fold 1"
assert mlflow.set_experiment("another").name == "another"
assert client.get_experiment_by_name("nothing") is None
for call in (lambda: client.log_param(run.info.run_id, "lr", 0.2), lambda: client.get_run("nobody"),
             lambda: client.delete_experiment("1")):
    try:
        call()
    except MlflowException as error:
        print(error.error_code, str(error).splitlines()[0])
print(run.info.run_id)
"""
AZUREML = """
from azureml.core import Run
run = Run.get_context()
print({name: value for name, value in run.get_metrics().items() if name != "broken"})
print(sorted(run.get_file_names()), [child.id for child in run.get_children()] != [])
"""


def test_a_script_with_mlflow(azure: Any, child: Any) -> None:
    """Metrics, parameters, tags, files and children are in the run, where MLflow and azureml read them."""
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(SCRIPT, env={**job, **QUIET})
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines if line.isascii() and ":" in line] == [
        "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND",
    ]  # fmt: skip
    assert "run_1" in lines
    values = azure.values("run_1")
    assert (values["loss"], values["acc"]) == ([0.5, 0.25], [0.9])
    assert azure.tags("run_1")["author"] == "me"
    assert azure.artifacts("run_1")["notes/a.txt"].file.read_text() == "again"
    parts = [served for served in azure.requests_log if served.path.startswith("/blobs/")]
    assert [(served.method, served.status) for served in parts] == [("PUT", 201)] * 2
    assert azure.runs["run_1"]["status"] == "Running"  # the job ends its own run
    (nested,) = [run for run in azure.runs.values() if run["parentRunId"] == "run_1"]
    assert (nested["displayName"], nested["status"], azure.values(nested["runId"])) == (
        "fold 1",
        "Completed",
        {"f1": [0.8]},
    )
    ran = child(AZUREML, env=job)
    assert "{'loss': [0.5, 0.25], 'acc': 0.9}" in ran.stdout, ran.stderr
    assert "['b.json', 'notes/a.txt', 'parts/large.bin'] True" in ran.stdout


def test_the_token_of_another_run(azure: Any, child: Any) -> None:
    """The token of another pipeline run is rejected in MLflow's format."""
    azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    other = azure.job_environment(run_id="run_2", step_name="score", parent_run_id="pipe_2")
    code = "import mlflow; print(mlflow.MlflowClient().get_run('run_1'))"
    ran = child(code, env={**other, **QUIET})
    assert ran.returncode == 1
    assert "PERMISSION_DENIED: The run token is for another pipeline run" in ran.stderr


def test_mlflow_and_amllog_in_one_script(azure: Any, child: Any) -> None:
    """Metrics of both are in one run."""
    code = (
        "import amllog, mlflow\nlog = amllog.setup()\nlog.metric('ours', 1)\nmlflow.log_metric('theirs', 2)\n"
        "print(amllog.shutdown(60).waiting)"
    )
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(code, env={**job, **QUIET})
    assert (ran.returncode, "0" in ran.stdout.splitlines()) == (0, True), ran.stderr
    assert azure.values("run_1") == {"ours": [1], "theirs": [2]}


def test_invalid_requests(azure: Any, client: Any) -> None:
    """Any body of any operation has an answer in MLflow's format, without an error of the server."""
    token = azure.job_environment(run_id="run_1", step_name="train")["AZUREML_RUN_TOKEN"]
    headers = {"Authorization": f"Bearer {token}"}
    run = {"run_id": "run_1"}
    bodies = [
        {}, [], run, {"run_id": 7}, {**run, "metrics": 7}, {**run, "metrics": [{"key": "a", "value": "x"}]},
        {**run, "metrics": [{"key": "a", "value": 1, "timestamp": 10**30}]}, {**run, "params": [{"value": 1}]},
        {**run, "status": "LOST"}, {"experiment_ids": ["x"], "filter": "nonsense", "max_results": "many"},
        {**run, "tags": [{"key": "x" * 5000, "value": "y"}]}, {"name": []}, {"experiment_ids": 7},
    ]  # fmt: skip
    posts = [
        route.pattern
        for route in azure.routes
        if route.pattern.startswith("/mlflow/api") and route.method == "POST"
    ]
    assert len(posts) >= 10
    for path in posts:
        for body in bodies:
            reply = client.bare("POST", path, json.dumps(body).encode(), headers)
            assert reply.status in (200, 400, 404), (path, body, reply)
            assert reply.status == 200 or "error_code" in reply.json, (path, body, reply)
