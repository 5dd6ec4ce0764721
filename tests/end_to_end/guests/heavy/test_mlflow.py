"""The full MLflow in a step of a local run. `nox -s guests-heavy` installs it, because it takes 0.3 GB."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from amllog import insights
from amllog.local.execution.step_values import StepValues
from amllog.local.job_services import JobServices, StepOutcome
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine

pytestmark = pytest.mark.skipif(
    not (find_spec("mlflow") and find_spec("alembic")),
    reason="it needs the full mlflow: `nox -s guests-heavy`",
)
SCRIPT = """
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.autolog()
data, classes = load_iris(return_X_y=True)
LogisticRegression(max_iter=200).fit(data, classes)
mlflow.log_metric("after", 0.5)
with open("plot.txt", "w") as file:
    file.write("plot")
mlflow.log_artifact("plot.txt")
source = mlflow.MlflowClient().search_logged_models if hasattr(mlflow, "search_logged_models") else None
uri = source and f"models:/{mlflow.search_logged_models(output_format='list')[0].model_id}"
print("uri", uri)
if uri:
    print("loaded", mlflow.pyfunc.load_model(uri).predict(data[:2]))
    print("version", mlflow.register_model(uri, "iris").version)
"""


def test_autologging_with_models(tmp_path: Path) -> None:
    """`mlflow.autolog()` logs the metrics and the model of `fit`, and a later metric belongs to the step, too."""
    step = PlannedStep("train", SourceLine(Path("pipeline.yml"), 1))
    plan = PlannedPipeline("iris", step.position, (step,))
    values = StepValues({}, {}, tmp_path / "work", tmp_path, Path(sys.executable))
    (tmp_path / "work").mkdir()
    shell = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with JobServices(tmp_path / "azure", tmp_path / "journal", shell) as services:
        services.begin_pipeline(plan, "pipe_1")
        environ = services.begin_step(step, "step_1", services.parent_run_id(step), values)
        began = time.time()
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
        ran = subprocess.run(
            command, env=environ, cwd=values.work, capture_output=True, text=True, check=False
        )
        outcome = StepOutcome("Completed", began, time.time() - began, ran.returncode)
        services.end_step("step_1", outcome, values)
        files = [path for run in services.azure.runs for path in services.azure.artifacts(run)]
    assert ran.returncode == 0, ran.stderr
    assert "uri None" in ran.stdout or "loaded [0 0]" in ran.stdout, ran.stdout
    names = {row["name"] for row in insights.connect(tmp_path / "journal").metrics("pipe_1")}
    assert {"training_accuracy_score", "after"} <= names
    assert "plot.txt" in files
    assert any(path.endswith("MLmodel") for path in files)
