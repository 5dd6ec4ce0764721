"""The query commands with the service: a delivered run, and errors of the service."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine, Fault

from .conftest import FAILED  # isort: skip

pytest.importorskip("azure.monitor.query")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("duckdb") is None,
    reason="the local query service runs KQL with DuckDB",
)


@pytest.fixture
def ask(cli: Callable[..., Any], child: Any, azure: AzureOnThisMachine) -> Callable[..., Any]:
    """A function that runs `amllog … --resource-id ID` for a failed run that was delivered."""
    assert (
        child(FAILED, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string}).returncode == 1
    )
    env = {"AMLLOG_RESOURCE_ID": azure.resource_id, "AMLLOG_QUERY_ENDPOINT": azure.query_endpoint}
    return lambda *arguments: cli(*arguments, env=env)


def test_a_failed_run_of_the_service(ask: Callable[..., Any]) -> None:
    """`errors` has the exception with its stack, and `story` has links into the portal."""
    ran = ask("errors")
    assert (ran.returncode, "ValueError: really bad batch" in ran.stdout) == (1, True), ran.stderr
    story = ask("story").stdout
    assert "failure in step train" in story
    assert "https://portal.azure.com/" in story


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ({"close": True, "times": 1}, 1, ""),
        ({"status": 403}, 2, "Reader"),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, 2, "3600 s"),
    ],
    ids=["closed once", "forbidden", "throttled for an hour"],
)
def test_errors_of_the_service(
    ask: Callable[..., Any], azure: AzureOnThisMachine, fault: dict[str, Any], code: int, message: str
) -> None:
    """A request is repeated if that can help, and other errors are one sentence without output of libraries."""
    azure.faults.put(Fault(service="query", **fault))
    ran = ask("errors")
    assert ran.returncode == code
    assert message in ran.stderr
    assert all(line.startswith("amllog") for line in ran.stderr.splitlines()), ran.stderr
