"""Scopes of queries, from arguments of `connect()` and environment variables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.service.scope import Scope, parse_scope
from amllog.local import AzureOnThisMachine, Fault

from .conftest import COMPONENT  # isort: skip


def test_ids_come_from_arguments_or_the_environment(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """An argument has precedence over variables. A path is used unchanged, and two ids are rejected."""
    azure = local_azure()
    endpoint = {"AMLLOG_QUERY_ENDPOINT": azure.query_endpoint}
    variables = {"AMLLOG_RESOURCE_ID": azure.resource_id, **endpoint}
    azure.faults.put(Fault(service="query", body=json.dumps({"tables": [{"columns": [], "rows": []}]})))
    for questions in (
        connect(environ=variables),
        connect(environ={"AMLLOG_WORKSPACE_ID": azure.workspace_id, **endpoint}),
        connect(environ={"AMLLOG_APP_ID": azure.app_id, **endpoint}),
        connect(app_id=azure.app_id, environ=variables),
    ):
        assert len(questions.logs()) == 0
    paths = [request.path.rpartition("/query")[0] for request in azure.requests_log]
    component = azure.resource_id.join(("/v1", ""))
    workspace, app = f"/v1/workspaces/{azure.workspace_id}", f"/v1/apps/{azure.app_id}"
    assert paths == [component, workspace, app, app]
    with pytest.raises(
        UsageError,
        match=r"resource_id \(AMLLOG_RESOURCE_ID\), app_id \(AMLLOG_APP_ID\): use only one of them",
    ):
        connect(environ={**variables, "AMLLOG_APP_ID": azure.app_id})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workspace_id": "mine"}, "workspace_id='mine': an id such as"),
        ({"app_id": "ikey"}, "app_id='ikey'"),
        ({"resource_id": "/subscriptions/s"}, "microsoft.insights/components/… "),
        ({"resource_id": COMPONENT + "/query?x={y}"}, "Resource ID"),
        ({"resource_id": COMPONENT, "endpoint": "http://example.com"}, "http://127.0.0.1:… on this machine"),
        ({"resource_id": COMPONENT, "endpoint": "https://me@host"}, "AMLLOG_QUERY_ENDPOINT"),
        ({"resource_id": COMPONENT, "endpoint": "https://x:port"}, "AMLLOG_QUERY_ENDPOINT"),
        ({"resource_id": COMPONENT, "dialect": "kql"}, "dialect='kql': one of classic, workspace"),
        ({"resource_id": COMPONENT, "server_timeout_seconds": 601}, "server_timeout_seconds=601: 1 to 600"),
        ({"endpoint": "https://api.loganalytics.us"}, "also pass one of resource_id, workspace_id, app_id"),
        ({"workspaceid": "x"}, "workspaceid: no such argument; use resource_id"),
    ],
)
def test_invalid_arguments_are_rejected(arguments: dict[str, Any], message: str) -> None:
    """The error names the argument, its value and the place of the correct one. No request is sent."""
    with pytest.raises(UsageError) as caught:
        connect(environ={}, **arguments)
    assert message in str(caught.value)


def test_a_directory_and_a_resource_are_rejected(tmp_path: Path) -> None:
    """A store is over journals or over the service."""
    with pytest.raises(UsageError, match="journals or the service, not both"):
        connect(tmp_path, resource_id=COMPONENT)


@pytest.mark.parametrize(
    ("endpoint", "address", "audience"),
    [
        ("", "https://api.loganalytics.io", "https://api.loganalytics.io"),
        ("api.loganalytics.us/v1/", "https://api.loganalytics.us", "https://api.loganalytics.us"),
        (
            "https://api.loganalytics.azure.com",
            "https://api.loganalytics.azure.com",
            "https://api.loganalytics.io",
        ),
    ],
)
def test_endpoints_and_audiences(endpoint: str, address: str, audience: str) -> None:
    """The public cloud, a sovereign cloud, and the new address, whose tokens have the old audience."""
    scope = parse_scope("resource_id", COMPONENT, endpoint=endpoint)
    assert (scope.endpoint, scope.audience, scope.path) == (address, audience, COMPONENT)
    assert (
        parse_scope("app_id", "01234567-89ab-cdef-0123-456789abcdef").endpoint
        == "https://api.applicationinsights.io"
    )


def test_a_scope_is_printed_with_its_argument() -> None:
    """The string has the argument of `connect()` and its value."""
    assert str(parse_scope("resource_id", COMPONENT)) == f"resource_id='{COMPONENT}'"
    assert isinstance(parse_scope("resource_id", COMPONENT), Scope)
