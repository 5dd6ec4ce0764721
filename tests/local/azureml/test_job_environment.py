"""The environment variables of a job."""

from __future__ import annotations

import base64
import json
import os
import time

from amllog.local import AzureOnThisMachine


def test_job_variables_identify_the_run(azure: AzureOnThisMachine) -> None:
    """All variables are strings, the token has its expiry, and both generations of the runtime find the same run."""
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


def test_loopback_is_excluded_from_proxies(azure: AzureOnThisMachine) -> None:
    """With a proxy, jobs connect to the local Azure directly and keep their other exceptions."""
    os.environ.update({"HTTP_PROXY": "http://proxy.example:1", "NO_PROXY": "intranet.example"})
    job = azure.job_environment(run_id="run_1", step_name="train")
    assert job["NO_PROXY"] == job["no_proxy"] == "intranet.example,127.0.0.1,localhost"
