"""The commands that read, over HTTP: a run that arrived at the service, and a service in trouble."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine, Fault

from .conftest import FAILED  # isort: skip

pytest.importorskip("azure.monitor.query")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("duckdb_kql") is None,
    reason="the query service on this machine runs KQL by duckdb-kql, which needs Python 3.11",
)


@pytest.fixture
def ask(cli: Callable[..., Any], child: Any, azure: AzureOnThisMachine) -> Callable[..., Any]:
    """Runs `amllog … --resource-id ID` after a run failed and all of it arrived."""
    assert (
        child(FAILED, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string}).returncode == 1
    )
    env = {"AMLLOG_RESOURCE_ID": azure.resource_id, "AMLLOG_QUERY_ENDPOINT": azure.query_endpoint}
    return lambda *arguments: cli(*arguments, env=env)


def test_a_failed_run_is_told_from_what_arrived(ask: Callable[..., Any]) -> None:
    """The error with its stack and exit code 1; the story with its links into the portal."""
    ran = ask("errors")
    assert (ran.returncode, "ValueError: really bad batch" in ran.stdout) == (1, True), ran.stderr
    told = ask("story").stdout
    assert "failure in step train" in told
    assert "https://portal.azure.com/" in told


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"close": True, "times": 1}, 1, ""),
        ({"status": 403}, 2, "Reader"),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, 2, "3600 s"),
    ],
    ids=["closed once", "forbidden", "throttled for an hour"],
)
def test_a_service_in_trouble(
    ask: Callable[..., Any], azure: AzureOnThisMachine, fault: dict[str, Any], code: int, said: str
) -> None:
    """Asked again where that helps, else one sentence; nothing of the libraries in between."""
    azure.faults.put(Fault(service="query", **fault))
    ran = ask("errors")
    assert ran.returncode == code
    assert said in ran.stderr
    assert all(line.startswith("amllog") for line in ran.stderr.splitlines()), ran.stderr
