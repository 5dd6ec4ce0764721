"""The stored runs and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine

if TYPE_CHECKING:
    from ..conftest import Client

STARTED = "Microsoft.MachineLearning.Run.Start"


def test_tags_and_properties(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """Tags can be changed and removed, and properties cannot."""
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
    """Too long, too many or invalid values are rejected as a whole."""
    assert client.history("PATCH", f"experiments/local/runs/{run}", change).status == 400
    assert azure.runs[run]["tags"] == azure.runs[run]["properties"] == {}


@pytest.mark.parametrize("run_id", ["x" * 257, "a%2Fb", "a%0Ab"])
def test_invalid_run_ids(azure: AzureOnThisMachine, client: Client, run: str, run_id: str) -> None:
    """A run id is printable, has a limited length and no slash."""
    child = {"parentRunId": run}
    assert client.history("PATCH", f"experiments/local/runs/{run_id}", child).status == 400
    assert list(azure.runs) == [run]


def test_events_change_a_run(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """The start, an error and the end of a run change its status and times."""
    path = f"experiments/local/runs/{run}/events"
    prefix = STARTED.rpartition(".")[0]
    client.history(
        "POST", path, {"name": STARTED, "data": {"RunId": run, "StartTime": "2026-11-22T00:00:00Z"}}
    )
    client.history(
        "POST", path, {"name": f"{prefix}.Error", "data": {"ErrorResponse": {"error": {"code": "c"}}}}
    )
    client.history("POST", path, {"name": f"{prefix}.Failed", "data": {}})
    changed = azure.runs[run]
    assert (changed["status"], changed["startTimeUtc"], changed["error"]["error"]["code"]) == (
        "Failed",
        "2026-11-22T00:00:00Z",
        "c",
    )
    assert changed["endTimeUtc"]
