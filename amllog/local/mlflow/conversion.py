"""Convert runs, metrics and files between the formats of MLflow's REST API and of run history; no I/O.

The format is that of `mlflow.protos.service_pb2` as JSON ("REST API", mlflow.org).
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from amllog.local.azureml.artifacts import Artifact
from amllog.local.http.request import Refusal, Request

ENDED = {"FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}
_STATUS = {"RUNNING": "Running", "SCHEDULED": "NotStarted", **ENDED}
_STATUS_OF_RUN = {status: name for name, status in _STATUS.items()}
_CLAUSE = re.compile(
    r"""\s*(?:(metrics|params|tags|attributes|attribute)\.)?([`"]?)([\w.\-/ ]+?)\2\s*(=|!=|<=|>=|<|>)"""
    r"""\s*(?:'([^']*)'|"([^"]*)"|([-\w.+]+))\s*"""
)

Points = Sequence[Mapping[str, Any]]


def refusal(status: int, code: str, message: str) -> Refusal:
    """Return an error in MLflow's format."""
    return Refusal(status, message, code, body={"error_code": code, "message": message})


def invalid(message: str) -> Refusal:
    """Return the error for an invalid argument."""
    return refusal(400, "INVALID_PARAMETER_VALUE", message)


def body_of(request: Request) -> Mapping[str, Any]:
    """Return the members of the body, or those of the query of a request without a body."""
    body = request.json() if request.body else dict(request.query)
    if not isinstance(body, dict):
        raise invalid("Expected an object")
    return body


def text(body: Mapping[str, Any], *names: str) -> str:
    """Return the first of these strings that the body has. Raises `Refusal` without any."""
    for name in names:
        if isinstance(body.get(name), str) and body[name]:
            return str(body[name])
    raise invalid(f"Missing value for the required parameter {names[0]!r}")


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return a list of objects. Raises `Refusal` for anything else, except None."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid("Expected a list of objects")
    return value


def pairs(value: object) -> dict[str, str]:
    """Return a list of keys and values as a dictionary."""
    return {text(item, "key"): str(item.get("value") or "") for item in objects(value)}


def to_status(name: str) -> str:
    """Return a status of MLflow as one of run history."""
    if name not in _STATUS:
        raise invalid(f"Invalid status {name[:50]!r}")
    return _STATUS[name]


def to_metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Return one value of MLflow as a metric of run history."""
    name = text(metric, "key")
    try:
        value, step = float(metric.get("value", "")), int(metric.get("step") or 0)
        seconds = int(metric.get("timestamp") or 0) / 1000
        created = datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise invalid(f"Metric {name[:50]!r}: {error}") from error
    # JSON has no NaN. Protocol buffers write it as a string.
    data = value if math.isfinite(value) else _non_finite(value)
    row = {"metricId": str(uuid.uuid4()), "createdUtc": created, "step": step, "data": {name: data}}
    properties = {"uxMetricType": "azureml.v1.scalar"}
    return {"name": name, "columns": {name: "Double"}, "value": [row], "properties": properties}


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_points(metric: Mapping[str, Any] | None, name: str) -> Points:
    """Return the numbers of a metric of run history as values of MLflow."""
    rows = metric["value"] if metric else []
    return [
        {
            "key": name,
            "value": row["data"][name],
            "timestamp": to_milliseconds(row.get("createdUtc")),
            "step": row.get("step") or 0,
        }
        for row in rows
        if isinstance(row["data"].get(name), (int, float))
        or row["data"].get(name) in ("NaN", "Infinity", "-Infinity")
    ]


def to_milliseconds(time: object) -> int:
    """Return a time of run history in milliseconds since 1970. 0 if it is missing or invalid."""
    try:
        return int(datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def to_run(run: Mapping[str, Any], metrics: Points) -> dict[str, Any]:
    """Return a run of run history as one of MLflow. `metrics`: the last value of each."""
    tags = {"mlflow.runName": run.get("displayName") or "", **run["tags"]}
    if run.get("parentRunId"):
        tags.setdefault("mlflow.parentRunId", run["parentRunId"])
    info = {
        "run_id": run["runId"],
        "run_uuid": run["runId"],
        "run_name": run.get("displayName") or "",
        "experiment_id": run["experimentId"],
        "user_id": "local",
        "status": _STATUS_OF_RUN.get(run["status"], "RUNNING"),
        "start_time": to_milliseconds(run.get("startTimeUtc") or run["createdUtc"]),
        "artifact_uri": f"mlflow-artifacts:/{run['runId']}",
        "lifecycle_stage": "active",
    }
    if run.get("endTimeUtc"):
        info["end_time"] = to_milliseconds(run["endTimeUtc"])
    data = {"metrics": metrics, "params": items(run.get("params", {})), "tags": items(tags)}
    outputs = {"model_outputs": run.get("modelOutputs", [])}
    return {"info": info, "data": data, "outputs": outputs}


def items(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a dictionary as a list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def to_experiment(experiment_id: str, name: str) -> dict[str, Any]:
    """Return an experiment of MLflow."""
    known = {"experiment_id": experiment_id, "name": name, "artifact_location": "mlflow-artifacts:/"}
    return {**known, "lifecycle_stage": "active", "tags": []}


def to_files(artifacts: Iterable[Artifact], folder: str) -> list[dict[str, Any]]:
    """Return the files and folders directly in a folder ("": the root), with names relative to it."""
    prefix = f"{folder}/" if folder else ""
    files: dict[str, dict[str, Any]] = {}
    for artifact in artifacts:
        if artifact.path.startswith(prefix):
            name, slash, _ = artifact.path[len(prefix) :].partition("/")
            files[name] = {"path": name, "is_dir": bool(slash)}
            if not slash:
                files[name]["file_size"] = artifact.size_bytes
    return list(files.values())


def matches(run: Mapping[str, Any], condition: str) -> bool:
    """Return whether a run of MLflow meets a filter: comparisons that are joined by `and`."""
    return all(
        _meets(run, clause) for clause in re.split(r"\s+and\s+", condition, flags=re.IGNORECASE) if clause
    )


def _meets(run: Mapping[str, Any], clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise invalid(f"The local Azure does not support the filter {clause[:100]!r}")
    kind, _, name, operator, *values = match.groups()
    wanted = next(value for value in values if value is not None)
    found = _found(run, kind or "attributes", name)
    if kind == "metrics":
        try:
            return found is not None and _compare(float(found), operator, float(wanted))
        except ValueError:
            raise invalid(f"{wanted!r} is not a number") from None
    return found is not None and _compare(str(found), operator, wanted)


def _found(run: Mapping[str, Any], kind: str, name: str) -> Any:
    if kind.startswith("attribute"):
        return run["info"].get({"id": "run_id", "created": "start_time"}.get(name, name))
    return next((item["value"] for item in run["data"][kind] if item["key"] == name), None)


def _compare(found: Any, operator: str, wanted: Any) -> bool:
    results = {"=": found == wanted, "!=": found != wanted, "<": found < wanted, ">": found > wanted}
    return bool(results.get(operator, found <= wanted if operator == "<=" else found >= wanted))
