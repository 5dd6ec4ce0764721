"""The services of one local run, with real processes and the real SDKs."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from amllog import insights
from amllog.local.execution.step_values import StepValues
from amllog.local.job_services import JobServices, StepOutcome
from amllog.local.plan.planned_steps import (
    LiteralValue,
    LocalData,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
    StepKind,
)

LINE = SourceLine(Path("pipeline.yml"), 1)

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}


class LocalRun:
    """A small runner: one step after the other, as the runner of `amllog run` uses the services."""

    def __init__(self, folder: Path, *names: str, **plan: Any) -> None:
        self.folder, self.journal = folder, folder / "journal"
        steps = tuple(PlannedStep(name, LINE, group=name.rpartition(".")[0]) for name in names)
        groups = tuple(dict.fromkeys(step.group for step in steps if step.group))
        self.plan = PlannedPipeline("digits", LINE, steps, groups=groups, **plan)
        self.services = JobServices(
            folder / "azure", self.journal, {"PATH": os.environ["PATH"], "HOME": str(folder)}
        )
        self.run_id = JobServices.new_run_id(self.plan)
        self.began = time.time()

    def values(self, name: str) -> StepValues:
        folder = self.folder / "steps" / name
        for path in ("work/outputs", "work/logs", "user_logs"):
            (folder / path).mkdir(parents=True, exist_ok=True)
        return StepValues({}, {}, folder / "work", folder, Path(sys.executable))

    def begin(self, name: str) -> tuple[str, dict[str, str]]:
        step = self.plan.step(name)
        parent = self.services.parent_run_id(step)
        run_id = JobServices.new_step_run_id(step) if parent else self.run_id
        return run_id, self.services.begin_step(step, run_id, parent, self.values(name))

    def end(self, name: str, run_id: str, began: float, code: int) -> None:
        state = "Failed" if code else "Completed"
        outcome = StepOutcome(state, began, time.time() - began, code)
        self.services.end_step(run_id, outcome, self.values(name))

    def run(self, name: str, *command: str) -> str:
        """Run a step and return its run id."""
        run_id, environ = self.begin(name)
        values, began = self.values(name), time.time()
        with (values.folder / "user_logs/std_log.txt").open("wb") as log:
            code = subprocess.call(command, env=environ, cwd=values.work, stdout=log, stderr=log, timeout=300)
        self.end(name, run_id, began, code)
        return run_id

    def log(self, name: str) -> str:
        return (self.values(name).folder / "user_logs/std_log.txt").read_text("utf-8", "replace")

    def end_pipeline(self, state: str = "Completed") -> None:
        code = 0 if state == "Completed" else 1
        self.services.end_pipeline(StepOutcome(state, self.began, time.time() - self.began, code))


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Any]:
    """A function that starts a local run of steps with these names."""
    runs: list[LocalRun] = []

    def make(*names: str, **plan: Any) -> LocalRun:
        run = LocalRun(tmp_path, *names, **plan)
        run.services.__enter__()
        run.services.begin_pipeline(run.plan, run.run_id)
        runs.append(run)
        return run

    yield make
    for run in runs:
        run.services.__exit__(None, None, None)


def test_ids_have_the_formats_of_the_service() -> None:
    """A pipeline of SDK v1 has a GUID, others have words. Sweeps and trials have their own forms."""
    v1 = PlannedStep("a", LINE, arguments=("python",))
    sweep = PlannedStep("s", LINE, kind=StepKind.SWEEP)
    assert len(JobServices.new_run_id(PlannedPipeline("p", LINE, (v1,)))) == 36
    assert JobServices.new_run_id(PlannedPipeline("p", LINE, (sweep,))).count("_") == 2
    sweep_id = JobServices.new_step_run_id(sweep)
    assert sweep_id.startswith("HD_")
    assert JobServices.new_step_run_id(v1, sweep_id, 3) == f"{sweep_id}_3"


def test_variables_of_a_step(tmp_path: Path) -> None:
    """Inputs and outputs have the names of both generations, and neither the shell nor the file changes the run."""
    step = PlannedStep(
        "train",
        LINE,
        inputs={"data": LocalData(Path("/data")), "lr": LiteralValue(0.1, "number")},
        environment_variables={"COLOR": "red", "AZUREML_RUN_ID": "mine", "PYTHONPATH": "src"},
    )
    shell = {"AZUREML_RUN_ID": "shell", "RANK": "3", "MLFLOW_TRACKING_URI": "https://x.invalid", "HOME": "/h"}
    values = StepValues(
        {"data": "/data", "lr": "0.1"}, {"model": "/out/model"}, tmp_path / "w", tmp_path, Path("p")
    )
    with JobServices(tmp_path / "azure", tmp_path / "journal", shell) as services:
        plan = PlannedPipeline("digits", LINE, (step,), experiment_name="e1")
        services.begin_pipeline(plan, "pipe_1")
        environ = services.begin_step(step, "step_1", services.parent_run_id(step), values)
    expected = {
        "AZUREML_RUN_ID": "step_1",
        "AZUREML_ROOT_RUN_ID": "pipe_1",
        "MLFLOW_RUN_ID": "step_1",
        "AZUREML_ARM_PROJECT_NAME": "e1",
        "AZUREML_PARAMETER_lr": "0.1",
        "AZURE_ML_INPUT_data": "/data",
        "AZURE_ML_OUTPUT_model": "/out/model",
        "AZUREML_DATAREFERENCE_data": "/data",
        "AZUREML_DATAREFERENCE_model": "/out/model",
        "AZUREML_CR_HT_CAP_outputs_PATH": str(tmp_path / "w" / "outputs"),
        "COLOR": "red",
        "HOME": "/h",
        "AMLLOG_DIR": str(tmp_path / "journal"),
        "AMLLOG_LOCAL_AZURE": "true",
        "AMLLOG_STEP_NAME": "train",
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert environ["PYTHONPATH"].endswith(":src")
    assert not {"RANK", "AZUREML_PARAMETER_data", "AZURE_ML_INPUT_lr"} & {*environ}
    assert all(isinstance(value, str) for value in environ.values())


def test_a_pipeline_of_scripts_without_amllog(make_run: Any) -> None:
    """All questions find the steps, their ends and the cause of a failure. Nested pipelines are runs between."""
    run = make_run("ok", "prep.clean", "prep.missing")
    script = "def load():\n    raise FileNotFoundError('a.csv')\nload()"
    run.run("ok", "sh", "-c", "echo hello > outputs/a.txt")
    run.run("prep.clean", sys.executable, "-S", "-c", script)
    run.run("prep.missing", "sh", "-c", "pyhton train.py")
    run.services.end_pipeline(StepOutcome("Failed", run.began, time.time() - run.began))
    found = insights.connect(run.journal)
    assert [(row["step_name"], row["state"]) for row in found.steps(run.run_id)] == [
        ("ok", "done"), ("prep.clean", "failed"), ("prep.missing", "failed"),
    ]  # fmt: skip
    (row,) = found.runs()
    assert (row["parent_run_id"], row["state"], row["steps"]) == (run.run_id, "failed", 3)
    (error,) = found.exceptions(run.run_id)
    assert (error["type"], error["step_name"]) == ("FileNotFoundError", "prep.clean")
    messages = [row["message"] for row in found.logs(run.run_id)]
    assert any("Exit code 127: sh: 1: pyhton: not found" in message for message in messages), messages
    results = {
        row["message"]: row["resultCode"] for row in found.errors(run.run_id) if row["itemType"] == "request"
    }
    assert results["digits"] == "steps prep.clean, prep.missing", results
    story = str(found.story(run.run_id))
    assert "failure in step prep.clean" in story
    assert "FileNotFoundError: a.csv" in story
    runs = {item["displayName"]: item for item in run.services.azure.runs.values()}
    assert (runs["prep"]["status"], runs["digits"]["status"], runs["ok"]["status"]) == (
        "Failed",
        "Failed",
        "Completed",
    )
    assert runs["prep.clean"]["parentRunId"] == runs["prep"]["runId"]
    assert runs["prep.clean"]["rootRunId"] == runs["prep"]["parentRunId"] == run.run_id
    artifacts = run.services.azure.artifacts(runs["ok"]["runId"])
    assert sorted(artifacts) == ["outputs/a.txt", "user_logs/std_log.txt"]
    assert run.services.problems == []


SDKS = """
import logging
from azureml.core import Run
from opencensus.ext.azure.log_exporter import AzureLogHandler
run = Run.get_context()
run.log("loss", 0.5)
run.log("loss", 0.25)
run.log("nan", float("nan"))
run.log_row("point", x=1, y=2)
run.parent.log("total", 3)
log = logging.getLogger("mine")
handler = AzureLogHandler()
logging.Handler.createLock(handler)  # the stock handler has no lock, which logging needs from Python 3.13 on
log.addHandler(handler)
log.warning("from OpenCensus", extra={"custom_dimensions": {"fold": "1"}})
print(run.id, run.parent.id)
"""


def test_the_real_sdks_in_a_step(make_run: Any) -> None:
    """Metrics that azureml would lose at the exit and records of OpenCensus are found with the step, once each."""
    run = make_run("train")
    run_id = run.run("train", sys.executable, "-W", "ignore", "-c", SDKS)
    run.end_pipeline()
    assert f"{run_id} {run.run_id}" in run.log("train"), run.log("train")
    found = insights.connect(run.journal)
    metrics = [(row["step_name"], row["name"], str(row["value"])) for row in found.metrics(run.run_id)]
    assert sorted(metrics) == [
        ("digits", "total", "3.0"), ("train", "loss", "0.25"), ("train", "loss", "0.5"), ("train", "nan", "nan"),
        ("train", "point.x", "1.0"), ("train", "point.y", "2.0"),
    ]  # fmt: skip
    (record,) = found.logs(run.run_id)
    assert (record["message"], record["step_id"], record["dimensions"]["fold"]) == (
        "from OpenCensus",
        run_id,
        "1",
    )


MLFLOW = """
import mlflow
import numpy
from sklearn.linear_model import LogisticRegression
mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False)
model = LogisticRegression().fit(numpy.array([[0.0], [1.0], [2.0], [3.0]]), numpy.array([0, 0, 1, 1]))
with mlflow.start_run(nested=True, run_name="fold 1"):
    mlflow.log_metric("f1", 0.8)
with mlflow.start_run(run_name="after"):
    mlflow.log_metric("auc", 0.9, step=2)
    options = {"pip_requirements": ["scikit-learn"], "registered_model_name": "clf"}
    if int(mlflow.__version__.partition(".")[0]) >= 3:
        options.update(name="model", serialization_format="pickle")
    else:
        options.update(artifact_path="model")
    logged = mlflow.sklearn.log_model(model, **options)
    run_id = mlflow.active_run().info.run_id
for uri in (logged.model_uri, f"runs:/{run_id}/model", "models:/clf/1", "models:/clf/latest"):
    print("loaded", mlflow.sklearn.load_model(uri).predict([[3.0]]))
mlflow.register_model(logged.model_uri, "other")
"""


def test_mlflow_in_a_step(make_run: Any) -> None:
    """Autologging, `log_model`, `register_model` and `load_model` work, and all metrics are found with the step."""
    pytest.importorskip("mlflow")
    pytest.importorskip("sklearn")
    run = make_run("train")
    run_id = run.run("train", sys.executable, "-W", "ignore", "-c", MLFLOW)
    run.end_pipeline()
    assert run.log("train").count("loaded [1]") == 4, run.log("train")
    rows = insights.connect(run.journal).metrics(run.run_id)
    metrics = {
        (row["dimensions"].get("run_name", ""), row["name"], row["value"], row["step"]) for row in rows
    }
    assert {("fold 1", "f1", 0.8, 0), ("after", "auc", 0.9, 2)} <= metrics
    assert run.services.azure.data.runs.get(run_id)["params"]["max_iter"] == "100"
    assert {row["step_id"] for row in rows} == {run_id}
    failed = [served for served in run.services.azure.requests_log if served.status >= 500]
    assert failed == []


def test_amllog_in_a_step_records_everything_once(make_run: Any) -> None:
    """A step that uses amllog has one request, one exception and one record of each metric."""
    run = make_run("train")
    pytest.importorskip("mlflow")
    code = "import amllog, mlflow\nlog = amllog.setup()\nlog.metric('loss', 0.5)\nlog.info('hello')\n"
    code += "mlflow.log_metric('theirs', 2)\nfrom azureml.core import Run\nRun.get_context().log('azureml', 3)\n{}['x']"
    run.run("train", sys.executable, "-c", code)
    run.end_pipeline("Failed")
    found = insights.connect(run.journal)
    assert sorted(row["name"] for row in found.metrics(run.run_id)) == ["azureml", "loss", "theirs"]
    assert [row["records"] for row in found.exceptions(run.run_id)] == [1]
    (step,) = found.steps(run.run_id)
    assert (step["step_name"], step["records"], step["state"]) == ("train", 6, "failed")


def test_a_single_job(make_run: Any) -> None:
    """The run of a job that is no pipeline has no parent, and its request is the only one."""
    run = make_run("train", is_single=True)
    assert run.run("train", "sh", "-c", "exit 3") == run.run_id
    run.end_pipeline("Failed")
    (step,) = insights.connect(run.journal).steps(run.run_id)
    assert (step["step_id"], step["parent_run_id"], step["records"]) == (run.run_id, run.run_id, 2)
    assert [*run.services.azure.runs] == [run.run_id]


def _post(environ: Mapping[str, str], path: str, body: object) -> int:
    address = environ["AZUREML_SERVICE_ENDPOINT"].partition("//")[2]
    connection = http.client.HTTPConnection(address, timeout=300)
    headers = {"Authorization": f"Bearer {environ['AZUREML_RUN_TOKEN']}"}
    connection.request("POST", path, json.dumps(body), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_twenty_steps_at_once(make_run: Any) -> None:
    """Twenty steps log at the same time, and each has its own metrics and records."""
    names = [f"s{number}" for number in range(20)]
    run = make_run(*names)
    statuses: list[int] = []

    def step(name: str, number: int) -> None:
        run_id, environ = run.begin(name)
        began = time.time()
        path = environ["APPLICATIONINSIGHTS_CONNECTION_STRING"].split("IngestionEndpoint=http://")[1]
        path = "/" + path.split(";")[0].partition("/")[2] + "v2.1/track"
        for value in range(5):
            metric = {
                "run_id": run_id,
                "metrics": [{"key": "m", "value": number + value / 10, "timestamp": 1}],
            }
            statuses.append(_post(environ, "/mlflow/api/2.0/mlflow/runs/log-batch", metric))
            data = {"ver": 2, "message": f"{name} {value}", "severityLevel": 1, "properties": {}}
            envelope = {
                "name": "Microsoft.ApplicationInsights.Message", "time": "2026-11-30T10:00:00Z", "tags": {},
                "iKey": "00000000-0000-0000-0000-0000000010ca", "data": {"baseType": "MessageData", "baseData": data},
            }  # fmt: skip
            statuses.append(_post(environ, path, [envelope]))
        run.end(name, run_id, began, 0)

    threads = [threading.Thread(target=step, args=(name, number)) for number, name in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.end_pipeline()
    assert statuses == [200] * 200
    found = insights.connect(run.journal)
    metrics = {(row["step_name"], row["value"]) for row in found.metrics(run.run_id)}
    assert metrics == {(f"s{n}", n + v / 10) for n in range(20) for v in range(5)}
    logs = [(row["step_name"], row["message"]) for row in found.logs(run.run_id)]
    assert sorted(logs) == sorted((f"s{n}", f"s{n} {v}") for n in range(20) for v in range(5))
    assert len(found.steps(run.run_id)) == 20


def test_the_run_of_mlflow_after_autologging(make_run: Any) -> None:
    """A run that MLflow opens beside that of the job is a child of it: its metrics belong to the step and the sweep."""
    run = make_run("train")
    run_id, environ = run.begin("train")
    began, prefix = time.time(), "/mlflow/api/2.0/mlflow"
    update = {"run_id": run_id, "status": "FINISHED"}
    assert _post(environ, f"{prefix}/runs/update", update) == 200
    create = {"experiment_id": environ["MLFLOW_EXPERIMENT_ID"]}
    assert _post(environ, f"{prefix}/runs/create", create) == 200
    (child,) = [item for item in run.services.azure.runs.values() if item["parentRunId"] == run_id]
    metric = {"run_id": child["runId"], "key": "auc", "value": 0.9, "timestamp": 1}
    assert _post(environ, f"{prefix}/runs/log-metric", metric) == 200
    assert (run.services.metric(run_id, "auc"), run.services.metric(run_id, "f1")) == (0.9, None)
    run.end("train", run_id, began, 0)
    assert {item["status"] for item in run.services.azure.runs.values()} == {"Completed", "Running"}
    (row,) = insights.connect(run.journal).metrics(run.run_id)
    assert (row["step_name"], row["name"], row["value"]) == ("train", "auc", 0.9)
    assert row["dimensions"]["run_name"] == child["displayName"]


@pytest.mark.skipif(os.name != "posix" or not Path("/dev/full").exists(), reason="a full device")
def test_records_that_cannot_be_written(tmp_path: Path) -> None:
    """A journal directory that cannot be written is reported, and the run continues."""
    (tmp_path / "journal").write_text("a file")
    run = LocalRun(tmp_path, "train")
    with run.services:
        run.services.begin_pipeline(run.plan, run.run_id)
        run_id, _ = run.begin("train")
        run.end("train", run_id, time.time(), 0)
        run.end_pipeline()
    (problem,) = run.services.problems
    assert problem.startswith(f"{tmp_path / 'journal'}: records of steps could not be written")
