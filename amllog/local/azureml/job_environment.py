"""The environment variables of a job, as Azure ML's common runtime sets them.

azureml-core, amllog and MLflow find their run and its services by these variables.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
RESOURCE_GROUP = "this-machine"
WORKSPACE = "local"
TOKEN_SECONDS = 7 * 24 * 3600


class RunTokens:
    """Issue and verify run tokens: signed JWTs with the run and an expiry."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def issue(self, run_id: str, seconds: float = TOKEN_SECONDS) -> tuple[str, int]:
        """Return a new token for a run, and its expiry in seconds of Unix time."""
        expiry = int(time.time() + seconds)
        claims = {"iss": "amllog.local", "aud": "azureml", "runid": run_id, "exp": expiry}
        signed = ".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        return f"{signed}.{self._signature(signed)}", expiry

    def verify(self, token: str) -> str | None:
        """Return the run of a valid token, or None for an expired or foreign one."""
        signed, _, signature = token.rpartition(".")
        expected = self._signature(signed).encode()
        if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
            return None
        body = signed.rpartition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["runid"]) if claims["exp"] > time.time() else None

    def _signature(self, signed: str) -> str:
        text = signed.encode("utf-8", "replace")
        return _base64(hmac.new(self._secret, text, hashlib.sha256).digest())


def variables(run: Mapping[str, Any], url: str, discovery_url: str, tokens: RunTokens) -> dict[str, str]:
    """Return the variables that identify a run and its services."""
    token, expiry = tokens.issue(run["runId"])
    discovery = f"{discovery_url}/discovery/workspaces/{WORKSPACE}"
    workspace_id = hashlib.sha256(url.encode()).hexdigest()[:32]
    context = {
        "subscription_id": SUBSCRIPTION,
        "resource_group": RESOURCE_GROUP,
        "workspace_name": WORKSPACE,
        "workspace_id": workspace_id,
        "service_endpoint": url,
        "discovery_endpoint": discovery,
        "experiment_name": run["experimentName"],
        "experiment_id": run["experimentId"],
        "root_run_id": run["rootRunId"],
        "run_id": run["runId"],
        "run_token": token,
        "run_history_service_endpoint": url,
        "data_container_id": run["dataContainerId"],
    }
    scope = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
    )
    return {
        "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": RESOURCE_GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": WORKSPACE,
        "AZUREML_ARM_PROJECT_NAME": run["experimentName"],
        "AZUREML_EXPERIMENT_ID": run["experimentId"],
        "AZUREML_WORKSPACE_SCOPE": scope,
        "AZUREML_EXPERIMENT_SCOPE": f"{scope}/experiments/{run['experimentName']}",
        "AZUREML_WORKSPACE_ID": workspace_id,
        "AZUREML_RUN_ID": run["runId"],
        "AZUREML_ROOT_RUN_ID": run["rootRunId"],
        "AZUREML_RUN_TOKEN": token,
        "AZUREML_RUN_TOKEN_EXPIRY": str(expiry),
        "AZUREML_SERVICE_ENDPOINT": url,
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": discovery,
        "AZUREML_DATA_CONTAINER_ID": run["dataContainerId"],
        "AZUREML_CR_AZUREML_CONTEXT": json.dumps(context),
        "AZUREML_CR_COMPUTE_CONTEXT": json.dumps({"cluster_name": "this-machine", "node_id": "node-0"}),
        "AZUREML_CR_NODE_RANK": "0",
        **_mlflow_variables(run, url, token),
    }


def _mlflow_variables(run: Mapping[str, Any], url: str, token: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": f"{url}/mlflow",
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_RUN_ID": run["runId"],
        "MLFLOW_EXPERIMENT_ID": run["experimentId"],
        "MLFLOW_EXPERIMENT_NAME": run["experimentName"],
        # A request has at most 128 MiB. MLflow divides files from this size on, if the proxy allows it.
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(64 * 1024 * 1024),
    }


def step_variables(
    inputs: Mapping[str, str], outputs: Mapping[str, str], literals: Collection[str], work: Path, folder: Path
) -> dict[str, str]:
    """Return the variables of a step with inputs and outputs: their values, and the folders of the job.

    A literal is a parameter. The paths of data have the names of both generations of the runtime. `work` is the
    working directory with `outputs` and `logs`, and `folder` has the driver logs.
    """
    data = {name: value for name, value in inputs.items() if name not in literals}
    user_logs = folder / "user_logs"
    return {
        **{f"AZUREML_PARAMETER_{name}": value for name, value in inputs.items() if name in literals},
        **{f"AZURE_ML_INPUT_{name}": value for name, value in data.items()},
        **{f"AZURE_ML_OUTPUT_{name}": value for name, value in outputs.items()},
        **{f"AZUREML_DATAREFERENCE_{name}": value for name, value in {**data, **outputs}.items()},
        "AZUREML_COMPUTE_USE_COMMON_RUNTIME": "true",
        "AZUREML_NODE_COUNT": "1",
        "AZUREML_CR_EXECUTION_WORKING_DIR_PATH": str(work),
        "AZUREML_CR_HT_CAP_user_logs_PATH": str(user_logs),
        "AZUREML_CR_HT_CAP_outputs_PATH": str(work / "outputs"),
        "AZUREML_CR_HT_CAP_logs_PATH": str(work / "logs"),
        "AZUREML_LOGDIRECTORY_PATH": str(user_logs),
        "AZUREML_OUTPUT_DIRECTORY": str(work / "outputs"),
        "AZUREML_DRIVERLOG_PATH": str(user_logs / "std_log.txt"),
    }


def no_proxy(proxies: Mapping[str, str]) -> dict[str, str]:
    """Return variables that exclude loopback from the proxies, or {} without proxies.

    `proxies` is the result of `urllib.request.getproxies()`.
    """
    names = ",".join(filter(None, (proxies.get("no", ""), "127.0.0.1", "localhost")))
    return {"NO_PROXY": names, "no_proxy": names} if proxies else {}


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
