"""Run history and metrics over HTTP, beyond what the real clients exercise."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.azureml.runs import experiment_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

STARTED = "Microsoft.MachineLearning.Run.Start"


def metric(name: str = "loss", *values: object, **columns: str) -> dict[str, Any]:
    """A metric as azureml posts it."""
    rows = [
        {"metricId": "i", "createdUtc": f"2026-11-22T00:00:0{i}Z", "data": {name: v}}
        for i, v in enumerate(values)
    ]
    return {"name": name, "columns": columns or {name: "double"}, "value": rows, "properties": {}}


def test_both_forms_of_a_run(client: Client, run: str) -> None:
    """By experiment name, by experiment id, and by run id alone."""
    by_id = f"experimentids/{experiment_id('local')}"
    ways = (f"experiments/local/runs/{run}", f"{by_id}/runs/{run}", f"runs/{run}")
    assert [client.history("GET", way).json["runId"] for way in ways] == [run] * 3
    assert client.history("GET", "experiments/local").json == client.history("GET", by_id).json
    assert client.history("GET", "experiments/other").status == 404
    assert client.history("GET", "runs/other").status == 404


def test_without_a_token(client: Client, run: str) -> None:
    """Run history wants a run token, as the service does."""
    path = "/history/v1.0/subscriptions/s/resourceGroups/r/providers/p/workspaces/w/runs/run_1"
    assert client("GET", path, Authorization="").status == 401


def test_the_family_of_a_run(azure: AzureOnThisMachine, client: Client) -> None:
    """A job's ancestors are registered with it; children are found from above."""
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
    assert [one["runId"] for one in below.json["value"]] == ["s2", "s1", "mid"]


def test_a_filter_that_is_not_understood(client: Client, run: str) -> None:
    """A filter is kept to or refused, never ignored."""
    assert client.history("POST", "runs:query", {"filter": "Tags/x eq 5"}).status == 400
    assert len(client.history("POST", "runs:query", {"filter": None}).json["value"]) == 1


def test_tags_and_properties(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Tags change and go, properties stay as they were set."""
    path = f"experiments/local/runs/{run}"
    client.history("PATCH", path, {"tags": {"a": "1", "b": "2"}, "properties": {"p": "1"}})
    client.history("PATCH", path, {"tags": {"a": "3"}, "displayName": "new", "description": "text"})
    client.history("DELETE", f"{path}/tags", ["b", "never there"])
    assert azure.tags(run) == {"a": "3"}
    assert (azure.runs[run]["displayName"], azure.runs[run]["name"]) == ("new", "train")
    assert client.history("PATCH", path, {"properties": {"p": "2"}}).status == 400
    assert client.history("PATCH", path, {"properties": {"p": "1"}}).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {"k" * 101: "v"}},
        {"tags": {"": "v"}},
        {"tags": {"k": "v" * 1001}},
        {"tags": {f"k{i}": "v" for i in range(51)}},
        {"properties": {f"k{i}": "v" for i in range(51)}},
        {"tags": {"k": 5}},
        {"displayName": "x" * 257},
    ],
)
def test_limits_of_a_run(azure: AzureOnThisMachine, client: Client, run: str, change: object) -> None:
    """Too long, too many, no text: refused, and nothing of it is kept."""
    assert client.history("PATCH", f"experiments/local/runs/{run}", change).status == 400
    assert azure.runs[run]["tags"] == azure.runs[run]["properties"] == {}


@pytest.mark.parametrize("run_id", ["x" * 257, "a%2Fb", "a%0Ab"])
def test_strange_run_ids(azure: AzureOnThisMachine, client: Client, run: str, run_id: str) -> None:
    """A run id is printable, short and no path."""
    child = {"parentRunId": run}
    assert client.history("PATCH", f"experiments/local/runs/{run_id}", child).status == 400
    assert list(azure.runs) == [run]


def test_events(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Start, error and end of a run move its status and times."""
    path = f"experiments/local/runs/{run}/events"
    prefix = STARTED.rpartition(".")[0]
    client.history(
        "POST", path, {"name": STARTED, "data": {"RunId": run, "StartTime": "2026-11-22T00:00:00Z"}}
    )
    client.history(
        "POST", path, {"name": f"{prefix}.Error", "data": {"ErrorResponse": {"error": {"code": "c"}}}}
    )
    client.history("POST", path, {"name": f"{prefix}.Failed", "data": {}})
    there = azure.runs[run]
    assert (there["status"], there["startTimeUtc"], there["error"]["error"]["code"]) == (
        "Failed",
        "2026-11-22T00:00:00Z",
        "c",
    )
    assert there["endTimeUtc"]


def test_many_children_at_once(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """`create_children`: runs and their start events in batches."""
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


def test_metrics_come_back_in_order(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Batches arrive in any order; `full` gives the rows by the time they were made."""
    second, first = metric("loss", 1, 2), metric("loss", 0)
    second["value"][0]["createdUtc"], second["value"][1]["createdUtc"] = "2026-11-22T01", "2026-11-22T02"
    for one in (second, first):
        assert client.metric(f"runs/{run}/batch", {"values": [one]}).json == {"errors": []}
    assert client.metric(f"runs/{run}/list", {}).json["value"] == [{"metricKey": {"name": "loss"}}]
    full = client.metric(f"runs/{run}/full", {"metricName": "loss"}).json
    assert [row["data"]["loss"] for row in full["value"]] == [0, 1, 2]
    assert client.metric(f"runs/{run}/full", {"metricName": "other"}).status == 404
    assert len(azure.metrics(run)) == 2


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (metric("n" * 51, 1), "MetricV2Dto.Name/Length"),
        (metric("", 1), "MetricV2Dto.Name"),
        (metric("n", 1, **{f"c{i}": "int" for i in range(16)}), "MetricV2Dto.Columns/Count"),
        (metric("n", 1, **{"c" * 256: "int"}), "MetricV2Dto.Columns/Length"),
        ({**metric("n"), "value": [{"data": {"n": 1}}] * 251}, "MetricV2Dto.Value/Count"),
        (metric("n", "v" * 256), "MetricV2Value.Data/Length"),
        ({**metric("n"), "value": [5]}, "MetricV2Value.Data"),
        ({**metric("n"), "value": 5}, ".Value"),
        ({**metric("n"), "columns": None}, "MetricV2Dto.Columns"),
    ],
)
def test_one_bad_metric(azure: AzureOnThisMachine, client: Client, run: str, bad: object, told: str) -> None:
    """A metric beyond the limits is an error of its own; its neighbours are taken."""
    errors = client.metric(f"runs/{run}/batch", {"values": [metric("good", 1), bad]}).json["errors"]
    assert len(errors) == 1
    assert told in errors[0]["errorResponse"]["error"]["message"]
    assert azure.values(run) == {"good": [1]}


def test_limits_of_all_metrics(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """At most 50 in a batch, 50 names in a run; NaN is no JSON and takes the batch with it."""
    many = [metric(f"m{i}", 1) for i in range(51)]
    assert client.metric(f"runs/{run}/batch", {"values": many}).status == 400
    assert client.metric(f"runs/{run}/batch", {"values": many[:50]}).json == {"errors": []}
    assert "Too many metrics" in str(client.metric(f"runs/{run}/batch", {"values": many[50:]}).json["errors"])
    assert client.metric(f"runs/{run}/batch", {"values": [metric("m0", float("nan"))]}).status == 400
    assert client.metric("runs/other/batch", {"values": []}).status == 404
    assert len(azure.values(run)) == 50


def test_metrics_of_the_first_version(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """What `AZUREML_METRICS_V2=` (off) posts is kept in the same way."""
    schema = {"numProperties": 1, "properties": [{"propertyId": "loss", "name": "loss", "type": "float"}]}
    old = {
        "name": "loss",
        "metricId": "i",
        "schema": schema,
        "cells": [{"loss": 0.5}],
        "metricType": "azureml.v1.scalar",
    }
    path = f"experiments/local/runs/{run}"
    assert client.history("POST", f"{path}/batch/metrics", {"values": [old]}).status == 200
    assert client.history("POST", f"{path}/metrics", old).status == 200
    assert azure.values(run) == {"loss": [0.5, 0.5]}


def test_state_survives_a_restart(
    azure: AzureOnThisMachine, client: Client, run: str, make_client: MakeClient
) -> None:
    """Runs, tags, metrics and artifacts are read again from the directory."""
    client.history("PATCH", f"experiments/local/runs/{run}", {"tags": {"a": "1"}})
    client.metric(f"runs/{run}/batch", {"values": [metric("loss", 0.5)]})
    client.artifact("POST", f"batch/metadata/ExperimentRun/dcid.{run}", {"paths": [{"path": "x"}]})
    before = (azure.runs, azure.values(run), azure.artifacts(run))
    azure.stop()
    with AzureOnThisMachine(azure.directory) as again:
        assert (again.runs, again.values(run), again.artifacts(run)) == before
        assert make_client(again).history("GET", f"runs/{run}").json["tags"] == {"a": "1"}


NASTY = [None, 5, "x", [], {}, [5], [None], {"values": 5}, {"values": [5]}, {"values": [{}]}, {"tags": 5}]
NASTY += [{"parentRunId": []}, {"name": {}}, {"runs": 5}, {"runs": [{}]}, {"events": [{}]}, {"data": 5}]
NASTY += [
    {"name": 5, "data": {"StartTime": []}},
    {"paths": 5},
    {"paths": [{}]},
    {"filter": 5},
    {"metricName": []},
]
NASTY += [
    {"values": [{"name": "m", "columns": {"m": 1}, "value": [{"createdUtc": 5, "data": {}}]}]},
    {"cells": 5},
]
DEEP = (
    b'{"name":"x.Error","data":{"ErrorResponse":' + b"[" * 400 + b"]" * 400 + b"}}"
)  # not to be written again
PLACES = [
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


@pytest.mark.parametrize("place", PLACES)
def test_a_body_of_any_shape_gets_an_answer(client: Client, run: str, place: str) -> None:
    """No body makes the far side stumble: the answer is a right one or a 4xx."""
    method, service, path = place.split()
    bodies = itertools.chain(
        (json.dumps(one).encode() for one in NASTY), [b"", b"{", b"\xff", b"[" * 5000, DEEP]
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
