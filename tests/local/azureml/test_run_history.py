"""Requests to run history that the real clients do not send."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.azureml.runs import experiment_id

from .conftest import metric  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

STARTED = "Microsoft.MachineLearning.Run.Start"


def test_paths_of_a_run(client: Client, run: str) -> None:
    """A run is found by the experiment name, the experiment id, or the run id alone."""
    by_id = f"experimentids/{experiment_id('local')}"
    paths = (f"experiments/local/runs/{run}", f"{by_id}/runs/{run}", f"runs/{run}")
    assert [client.history("GET", path).json["runId"] for path in paths] == [run] * 3
    assert client.history("GET", "experiments/local").json == client.history("GET", by_id).json
    assert client.history("GET", "experiments/other").status == 404
    assert client.history("GET", "runs/other").status == 404


def test_without_a_run_token(client: Client, run: str) -> None:
    """Run history requires a run token."""
    path = "/history/v1.0/subscriptions/s/resourceGroups/r/providers/p/workspaces/w/runs/run_1"
    assert client("GET", path, Authorization="").status == 401


def test_ancestors_and_children_of_a_run(azure: AzureOnThisMachine, client: Client) -> None:
    """A job's ancestors are registered with it, and a parent lists its children."""
    azure.job_environment(run_id="s1", step_name="one", parent_run_id="mid", root_run_id="top")
    azure.job_environment(run_id="s2", step_name="two", root_run_id="top")
    assert {run["runId"]: (run["parentRunId"], run["rootRunId"]) for run in azure.runs.values()} == {
        "top": (None, "top"),
        "mid": ("top", "top"),
        "s1": ("mid", "top"),
        "s2": ("top", "top"),
    }
    children = client.history("GET", "experiments/local/runs/top/children?$top=5").json["value"]
    assert [child["runId"] for child in children] == ["s2", "mid"]
    below = client.history(
        "POST", "experiments/local/runs:query", {"filter": "RootRunId eq top and RunId ne top"}
    )
    assert [run["runId"] for run in below.json["value"]] == ["s2", "s1", "mid"]


def test_unsupported_filters_are_rejected(client: Client, run: str) -> None:
    """A filter is applied or rejected, but not ignored."""
    assert client.history("POST", "runs:query", {"filter": "Tags/x eq 5"}).status == 400
    assert len(client.history("POST", "runs:query", {"filter": None}).json["value"]) == 1


def test_batches_of_runs_and_events(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """`create_children` sends runs and their start events in batches."""
    runs = [{"runId": name, "parentRunId": run} for name in ("c1", "c2")]
    events = [{"name": STARTED, "data": {"RunId": name}} for name in ("c1", "c2")]
    assert set(client.history("PATCH", "experiments/local/batch/runs", {"runs": runs}).json["runs"]) == {
        "c1",
        "c2",
    }
    assert client.history("POST", "experiments/local/batch/events", {"events": events}).json == {"errors": []}
    assert [azure.runs[name]["status"] for name in ("c1", "c2")] == ["Running"] * 2


def test_a_new_token(client: Client, run: str) -> None:
    """The token is a JWT with an expiry."""
    reply = client.history("GET", f"experiments/local/runs/{run}/token").json
    assert reply["token"].count(".") == 2
    assert reply["expiryTimeUtc"] > "2026"


def test_state_survives_a_restart(
    azure: AzureOnThisMachine, client: Client, run: str, make_client: MakeClient
) -> None:
    """Runs, tags, metrics and artifacts are read from the directory."""
    client.history("PATCH", f"experiments/local/runs/{run}", {"tags": {"a": "1"}})
    client.metric(f"runs/{run}/batch", {"values": [metric("loss", 0.5)]})
    client.artifact("POST", f"batch/metadata/ExperimentRun/dcid.{run}", {"paths": [{"path": "x"}]})
    before = (azure.runs, azure.values(run), azure.artifacts(run))
    azure.stop()
    with AzureOnThisMachine(azure.directory) as again:
        assert (again.runs, again.values(run), again.artifacts(run)) == before
        assert make_client(again).history("GET", f"runs/{run}").json["tags"] == {"a": "1"}


INVALID = [None, 5, "x", [], {}, [5], [None], {"values": 5}, {"values": [5]}, {"values": [{}]}, {"tags": 5}]
INVALID += [{"parentRunId": []}, {"name": {}}, {"runs": 5}, {"runs": [{}]}, {"events": [{}]}, {"data": 5}]
INVALID += [
    {"name": 5, "data": {"StartTime": []}},
    {"paths": 5},
    {"paths": [{}]},
    {"filter": 5},
    {"metricName": []},
]
INVALID += [
    {"values": [{"name": "m", "columns": {"m": 1}, "value": [{"createdUtc": 5, "data": {}}]}]},
    {"cells": 5},
]
# Nested too deeply to be encoded again.
DEEP = b'{"name":"x.Error","data":{"ErrorResponse":' + b"[" * 400 + b"]" * 400 + b"}}"
OPERATIONS = [
    "PATCH history experiments/local/runs/run_1",
    "PATCH history experiments/local/batch/runs",
    "POST history experiments/local/batch/events",
    "POST history experiments/local/runs/run_1/events",
    "POST history experiments/local/runs/run_1/metrics",
    "POST history experiments/local/runs/run_1/batch/metrics",
    "POST history experiments/local/runs:query",
    "DELETE history experiments/local/runs/run_1/tags",
    "POST metric runs/run_1/batch",
    "POST metric runs/run_1/list",
    "POST metric runs/run_1/full",
    "POST artifact batch/metadata/ExperimentRun/dcid.run_1",
    "POST track /v2.1/track",
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_body_gets_a_response(client: Client, run: str, operation: str) -> None:
    """The response to any body is a success or a 4xx."""
    method, service, path = operation.split()
    bodies = itertools.chain(
        (json.dumps(body).encode() for body in INVALID), [b"", b"{", b"\xff", b"[" * 5000, DEEP]
    )
    for body in bodies:
        call = {
            "history": lambda body=body: client.history(method, path, body),
            "artifact": lambda body=body: client.artifact(method, path, body),
            "metric": lambda body=body: client.metric(path, body),
            "track": lambda body=body: client(method, path, body),
        }[service]
        assert call().status < 500, body
    assert client.history("GET", f"runs/{run}").json["runId"] == run
