"""Tests of the examples: each runs as a job with the local Azure, and its records arrive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
# A folder with a run.py is one example, which is started there. Every other script and notebook is an example.
FOLDERS = {path.parent for path in EXAMPLES.rglob("run.py")}
SCRIPTS = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.ipynb")]
RUN = sorted(path for path in SCRIPTS if path.name == "run.py" or not FOLDERS & {*path.parents})
ARGUMENTS: dict[str, list[str]] = {}


@pytest.mark.parametrize("example", RUN, ids=[str(path.relative_to(EXAMPLES)) for path in RUN])
def test_example_runs(example: Path, azure, child, tmp_path: Path) -> None:
    """The example succeeds in a job, and its lines are in Application Insights."""
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".amllog", "logs"))
    script = copy / example.relative_to(EXAMPLES)
    if example.name == "run.py":  # starts a local Azure itself
        ran = child(script, timeout=900)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return
    job = azure.job_environment(run_id="example_1", step_name=example.stem, parent_run_id="examples")
    if example.suffix == ".ipynb":
        run_notebook(script, job)
    else:
        ran = child(script, *ARGUMENTS.get(example.name, []), env=job, cwd=script.parent)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert azure.envelopes


def run_notebook(path: Path, job: dict[str, str]) -> None:
    """Run all cells in a new kernel. A cell that raises is a failure."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    os.environ.update(job)
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        notebook, timeout=900, startup_timeout=600, kernel_name="python3", resources=resources
    ).execute()


def test_guide_is_drop_in(azure, child) -> None:
    """With two lines added, the guide's script delivers its metric and each statement once, on stdout and to Azure."""
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipeline_1")
    ran = child(EXAMPLES / "guide.py", env=job)
    assert azure.values("run_1") == {"scalar_value": [0.95]}
    kinds = ("MessageData", "MetricData")
    records = [envelope["data"] for envelope in azure.envelopes if envelope["data"]["baseType"] in kinds]
    messages = [data["baseData"]["message"] for data in records if data["baseType"] == "MessageData"]
    assert len(messages) == len(set(messages)) == 3
    for text in [*messages, "I am a python print statement"]:
        assert ran.stdout.count(text) == 1
    for data in records:
        properties = data["baseData"]["properties"]
        assert (properties["step_id"], properties["parent_run_id"]) == ("run_1", "pipeline_1")
        assert all(properties[name] for name in ("step_name", "experiment_name", "run_url"))


def test_settings_from_the_environment(azure, child) -> None:
    """The variables of the example set level, run type and dimensions, without a change of the script."""
    settings = {
        "AMLLOG_LEVEL": "DEBUG",
        "AMLLOG_RUN_TYPE": "scoring",
        "AMLLOG_DIMENSIONS": "team=vision,owner=me",
    }
    job = azure.job_environment(run_id="run_1", step_name="score")
    child(EXAMPLES / "env_only.py", env={**job, **settings})
    records = [envelope["data"]["baseData"] for envelope in azure.envelopes]
    assert "recorded with AMLLOG_LEVEL=DEBUG" in [record.get("message") for record in records]
    for record in records:
        values = [record["properties"].get(name) for name in ("run_type", "team", "owner")]
        assert values == ["scoring", "vision", "me"]


# An inference server calls init() once, then run() for each request, in a process that continues.
SERVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import score
score.init()
for request in ('{"images": [[0, 1], [1, 0]]}', "no JSON"):
    print(json.dumps(score.run(request)))
import amllog
print(amllog.flush(200))
"""
MODEL = """
import joblib
from sklearn.linear_model import LogisticRegression
joblib.dump(LogisticRegression().fit([[0, 1], [1, 0]], [0, 1]), "model.joblib")
"""


def test_scoring_script_in_an_endpoint(azure, child, tmp_path: Path) -> None:
    """Records of an endpoint, which has no run, name the service. An invalid request is an exception."""
    pytest.importorskip("sklearn")
    child(MODEL)
    endpoint = {
        "AZUREML_MODEL_DIR": str(tmp_path),
        "SERVICE_NAME": "digits-v2",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
    }
    ran = child(SERVER, str(EXAMPLES), env=endpoint)
    assert '{"digits": [0, 1]}' in ran.stdout, ran.stderr
    assert '{"error": "JSONDecodeError' in ran.stdout
    assert " 0 waiting, 0 refused" in ran.stdout
    kinds = [envelope["data"]["baseType"] for envelope in azure.envelopes]
    assert kinds.count("ExceptionData") == kinds.count("MetricData") == 1
    names = {envelope["data"]["baseData"]["properties"]["step_name"] for envelope in azure.envelopes}
    assert names == {"digits-v2"}
