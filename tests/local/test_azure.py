"""The door: starting, stopping, and the environment of a job."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from pathlib import Path

import pytest

import amllog.local
from amllog.local import AzureOnThisMachine


def test_the_door() -> None:
    """What can be imported from the room is what is listed."""
    modules = {path.stem for path in Path(amllog.local.__file__).parent.iterdir()}
    names = {name for name in vars(amllog.local) if not name.startswith("_")} - modules
    assert sorted(names) == amllog.local.__all__


def test_before_the_start(tmp_path: Path) -> None:
    """Without a start there is no address; a stop does nothing, and nothing was written."""
    azure = AzureOnThisMachine(tmp_path / "azure")
    azure.stop()
    with pytest.raises(RuntimeError, match="start"):
        _ = azure.url
    assert not (tmp_path / "azure").exists()


def test_a_port_of_ones_own(tmp_path: Path) -> None:
    """The port can be chosen; one that is taken is an error at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with AzureOnThisMachine(tmp_path / "one", port=port) as azure:
        assert azure.url == f"http://127.0.0.1:{port}"
        assert f"IngestionEndpoint={azure.url}/" in azure.connection_string
        with pytest.raises(OSError):
            AzureOnThisMachine(tmp_path / "two", port=port).start()


def test_the_environment_of_a_job(azure: AzureOnThisMachine) -> None:
    """Strings only; the token says until when; both generations of runtime agree."""
    job = azure.job_environment(
        run_id="run_1", step_name="train", experiment_name="digits", root_run_id="top"
    )
    claims = json.loads(base64.urlsafe_b64decode(job["AZUREML_RUN_TOKEN"].split(".")[1] + "=="))
    context = json.loads(job["AZUREML_CR_AZUREML_CONTEXT"])
    assert all(isinstance(value, str) for value in job.values())
    assert claims["exp"] == int(job["AZUREML_RUN_TOKEN_EXPIRY"]) > time.time() + 3600
    assert (job["AZUREML_ARM_PROJECT_NAME"], context["experiment_name"]) == ("digits", "digits")
    assert (job["AZUREML_ROOT_RUN_ID"], context["root_run_id"], context["run_id"]) == ("top", "top", "run_1")
    assert job["APPLICATIONINSIGHTS_CONNECTION_STRING"] == azure.connection_string
    assert "NO_PROXY" not in job


def test_the_same_job_again(azure: AzureOnThisMachine) -> None:
    """A second environment for a run leaves its tags and its place in the family."""
    for _ in range(2):
        azure.job_environment(run_id="run_1", step_name="train", parent_run_id="top")
    assert list(azure.runs) == ["top", "run_1"]
    assert azure.runs["run_1"]["runType"] == "azureml.StepRun"


def test_a_proxy_is_left_aside(azure: AzureOnThisMachine) -> None:
    """Where a proxy is set, jobs reach this machine without it, and keep their other exceptions."""
    os.environ.update({"HTTP_PROXY": "http://proxy.example:1", "NO_PROXY": "intranet.example"})
    job = azure.job_environment(run_id="run_1", step_name="train")
    assert job["NO_PROXY"] == job["no_proxy"] == "intranet.example,127.0.0.1,localhost"


def test_other_authorities(tmp_path: Path) -> None:
    """The authorities that a job trusts besides ours can be chosen."""
    own = tmp_path / "own.pem"
    own.write_text("# my authorities\n")
    with AzureOnThisMachine(tmp_path / "azure", authorities=own) as azure:
        bundle = azure.job_environment(run_id="r", step_name="s")["REQUESTS_CA_BUNDLE"]
    with open(bundle) as file:
        text = file.read()
    assert text.startswith("# my authorities\n")
    assert text.count("BEGIN CERTIFICATE") == 1
