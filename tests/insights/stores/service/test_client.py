"""Retries, credentials and connection errors of the client of the query service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amllog.errors import ServiceError, UsageError
from amllog.insights import connect
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.scope import parse_scope
from amllog.insights.stores.service.service_store import ServiceStore
from amllog.local import AzureOnThisMachine, Fault

from ...conftest import log  # isort: skip
from .conftest import COMPONENT, connect_to, count_queries, paged_questions, runs_kql  # isort: skip


@runs_kql
def test_a_busy_service_is_tried_again(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The client waits for Retry-After or for growing pauses, and then returns the rows."""
    azure, slept = local_azure(log("hello")), []
    azure.faults.put(Fault(service="query", status=429, headers={"Retry-After": "7"}, times=2))
    azure.faults.put(Fault(service="query", status=503, times=1), Fault(service="query", close=True, times=1))
    assert len(paged_questions(azure, slept=slept).logs(last="900d")) == 1
    assert [pause for pause in slept if pause] == [7.0, 7.0, 4.0, 8.0]
    assert count_queries(azure) == 5


@pytest.mark.parametrize(
    ("headers", "message", "times"),
    [
        ({"Retry-After": "3600"}, "(HTTP 429, Retry-After: 3600 s, 1 attempt)", 1),
        ({"Retry-After": "0"}, "6 attempts", 6),
        ({"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, "1 attempt", 1),
        ({"Retry-After": "soon"}, "6 attempts", 6),
        ({}, "(HTTP 429, 6 attempts)", 6),
    ],
)
def test_retries_end(
    local_azure: Callable[..., AzureOnThisMachine], headers: dict[str, str], message: str, times: int
) -> None:
    """Retries end with an error after six attempts, or if Retry-After is an hour."""
    azure = local_azure()
    azure.faults.put(Fault(service="query", status=429, headers=headers))
    with pytest.raises(ServiceError) as caught:
        paged_questions(azure).logs()
    assert message in str(caught.value)
    assert count_queries(azure) == times


def test_an_address_that_cannot_be_reached(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The error names the variable of the endpoint."""
    azure = local_azure()
    endpoint = azure.query_endpoint
    azure.stop()
    with pytest.raises(ServiceError, match=r"cannot be reached .*AMLLOG_QUERY_ENDPOINT"):
        connect(workspace_id=azure.workspace_id, endpoint=endpoint).logs()


class Credential:
    """A credential that keeps the requested scopes."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        return AccessToken("secret", 4_000_000_000)


def test_the_token_is_requested_by_the_first_query(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """No token is requested before, and a service that requires a token gets it."""
    azure, credential = local_azure(strict=True), Credential()
    questions = connect_to(azure, "workspace_id", credential=credential)
    assert credential.scopes == []
    azure.faults.put(Fault(service="query", status=403))
    with pytest.raises(UsageError, match="no permission"):
        questions.logs()
    assert credential.scopes == [f"{azure.query_endpoint}/.default"]
    scope = parse_scope("app_id", azure.app_id, endpoint=azure.query_endpoint)._replace(
        audience="https://old.io"
    )
    with pytest.raises(UsageError, match="no permission"):
        ServiceStore(QueryClient(scope, credential)).query("traces")
    assert credential.scopes[1:] == ["https://old.io/.default"]


def test_a_missing_credential_is_explained(child: Any) -> None:
    """Without a credential of Azure on this machine, one error contains the remedy."""
    code = f"""
from azure.core.exceptions import ClientAuthenticationError
from amllog.errors import UsageError
from amllog.insights import connect
class Nobody:
    def get_token(self, *scopes, **options):
        raise ClientAuthenticationError("nobody\\nis here")
try:
    connect(resource_id={COMPONENT!r}, credential=Nobody()).logs()
except UsageError as error:
    print(error)
"""
    ran = child(code)
    assert ran.stdout.strip().endswith("(nobody is here): run az login, or pass credential= to connect()"), (
        ran.stderr
    )


@pytest.mark.parametrize(
    ("module", "package"),
    [("azure.monitor.query", "azure-monitor-query"), ("azure.identity", "azure-identity")],
)
def test_missing_packages_are_named(child: Any, module: str, package: str) -> None:
    """The first query raises an error with the install command, and `connect()` needs none of the packages."""
    code = f"""
import sys
from amllog.errors import MissingExtraError
from amllog.insights import connect
questions = connect(resource_id={COMPONENT!r})
assert not any(name.startswith("azure") for name in sys.modules), "imported before it is needed"
sys.modules[{module!r}] = None
try:
    questions.logs()
except MissingExtraError as error:
    print(error)
"""
    ran = child(code)
    assert ran.stdout.strip() == f"{package} is not installed: pip install 'amllog[insights]'", ran.stderr
