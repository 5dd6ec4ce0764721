"""The real MLflow client and the model registry of the local Azure. Logged models are in the same script."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}
SCRIPT = """
import os
import mlflow
from mlflow.exceptions import MlflowException
client, run_id = mlflow.MlflowClient(), os.environ["MLFLOW_RUN_ID"]
experiment = client.get_run(run_id).info.experiment_id
client.log_text(run_id, "weights", "model/model.txt")
client.create_registered_model("iris", tags={"team": "a"}, description="flowers")
one = client.create_model_version("iris", f"runs:/{run_id}/model", run_id, tags={"k": "v"})
two = client.create_model_version("iris", f"mlflow-artifacts:/{run_id}/model", run_id)
assert (one.version, two.version, one.status) == ("1", "2", "READY"), (one, two)
client.set_registered_model_alias("iris", "champion", "2")
assert client.get_model_version_by_alias("iris", "champion").version == "2"
assert client.get_registered_model("iris").aliases == {"champion": "2"}
client.update_model_version("iris", "1", description="first")
client.set_model_version_tag("iris", "1", "k", "w")
known = client.get_model_version("iris", "1")
assert (known.description, known.tags) == ("first", {"k": "w"}), known
client.transition_model_version_stage("iris", "1", "Production")
assert [v.version for v in client.get_latest_versions("iris", ["Production"])] == ["1"]
assert sorted(v.version for v in client.search_model_versions("name = 'iris'")) == ["1", "2"]
assert [v.version for v in client.search_model_versions("name='iris' and tags.k = 'w'")] == ["1"]
assert [m.name for m in client.search_registered_models("name LIKE 'ir%'")] == ["iris"]
uris = [client.get_model_version_download_uri("iris", version) for version in "12"]
assert uris == [f"mlflow-artifacts:/{run_id}/model"] * 2, uris
path = mlflow.artifacts.download_artifacts("models:/iris/1", dst_path="copied")
weights = os.path.join(path, "model.txt")
assert open(weights).read() == "weights"
client.delete_model_version_tag("iris", "1", "k")
client.delete_registered_model_alias("iris", "champion")
client.delete_model_version("iris", "2")
client.rename_registered_model("iris", "flowers")
assert [v.name for v in client.search_model_versions()] == ["flowers"]
for call in (lambda: client.get_registered_model("iris"), lambda: client.create_registered_model("flowers"),
             lambda: client.transition_model_version_stage("flowers", "1", "Live"),
             lambda: client.search_model_versions("x = 'y'")):
    try:
        call()
    except MlflowException as error:
        print(error.error_code)
client.delete_registered_model("flowers")
assert list(client.search_registered_models()) == []
if hasattr(client, "create_logged_model"):
    model = client.create_logged_model(experiment, name="net", source_run_id=run_id, params={"p": "1"})
    client.finalize_logged_model(model.model_id, "READY")
    client.set_logged_model_tags(model.model_id, {"a": "b"})
    client.delete_logged_model_tag(model.model_id, "a")
    client.log_model_artifact(model.model_id, weights)
    known = client.get_logged_model(model.model_id)
    assert (known.name, known.status, known.params, known.tags) == ("net", "READY", {"p": "1"}, {}), known
    found = client.search_logged_models([experiment], f"name = 'net'")
    assert [one.model_id for one in found] == [model.model_id]
    client.log_outputs(run_id, [mlflow.entities.LoggedModelOutput(model.model_id, step=3)])
    outputs = client.get_run(run_id).outputs.model_outputs
    assert [(one.model_id, one.step) for one in outputs] == [(model.model_id, 3)]
    assert os.path.exists(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/net", dst_path="logged"))
    client.delete_logged_model(model.model_id)
print("done")
"""


def test_the_real_client(azure: Any, child: Any) -> None:
    """Models are registered, found by filter, alias and stage, downloaded and deleted. Errors have MLflow's codes."""
    job = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    ran = child(SCRIPT, env={**job, **QUIET})
    assert ran.returncode == 0, ran.stderr
    printed = [line for line in ran.stdout.splitlines() if line.isascii()]
    assert printed == [
        "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "INVALID_PARAMETER_VALUE",
        "done",
    ]  # fmt: skip


def test_models_of_another_pipeline_run(azure: Any, client: Any) -> None:
    """The registry belongs to the workspace. A logged model and an output need a run of the caller's pipeline run."""
    azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    azure.job_environment(run_id="run_2", step_name="score", parent_run_id="pipe_2")
    prefix = "/mlflow/api/2.0/mlflow"
    headers = {"Authorization": f"Bearer {azure.run_token('run_1')}"}
    other = {"Authorization": f"Bearer {azure.run_token('run_2')}"}
    made = client.bare("POST", f"{prefix}/registered-models/create", {"name": "iris"}, headers)
    assert made.json["registered_model"]["name"] == "iris"
    assert client.bare("GET", f"{prefix}/registered-models/get?name=iris", None, other).status == 200
    for path, body in (
        ("logged-models", {"experiment_id": "1", "source_run_id": "run_1"}),
        ("runs/outputs", {"run_id": "run_1", "models": []}),
    ):
        refused = client.bare("POST", f"{prefix}/{path}", body, other)
        assert (refused.status, refused.json["error_code"]) == (403, "PERMISSION_DENIED")
    for path in ("registered-models/get", "model-versions/get?name=iris&version=7", "logged-models/m-1"):
        assert client.bare("GET", f"{prefix}/{path}", None, headers).json["error_code"] in (
            "INVALID_PARAMETER_VALUE",
            "RESOURCE_DOES_NOT_EXIST",
        )
