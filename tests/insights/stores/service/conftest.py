"""The query service on this machine, and questions to it through the real LogsQueryClient and real HTTP."""

from __future__ import annotations

import http.client
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.monitor.query")

from amllog.insights import Questions, connect
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.rate_limit import RateLimit
from amllog.insights.stores.service.scope import parse_scope
from amllog.insights.stores.service.service_store import ServiceStore
from amllog.local import AzureOnThisMachine

runs_kql = pytest.mark.skipif(
    importlib.util.find_spec("duckdb") is None,
    reason="the query service on this machine runs KQL with DuckDB",
)
COMPONENT = "/subscriptions/s/resourceGroups/r/providers/microsoft.insights/components/c"


def send(azure: AzureOnThisMachine, lines: list[Any]) -> None:
    """Send envelopes to the ingestion endpoint, as an SDK does."""
    connection = http.client.HTTPConnection(azure.url.partition("//")[2], timeout=300)
    path = f"{azure.ingestion_endpoint[len(azure.url) :]}/v2.1/track"
    connection.request("POST", path, json.dumps(lines), {"Content-Type": "application/json"})
    response = json.loads(connection.getresponse().read())
    connection.close()
    assert response["itemsAccepted"] == len(lines), response


@pytest.fixture
def local_azure(tmp_path: Path) -> Iterator[Callable[..., AzureOnThisMachine]]:
    """Start a local Azure that has received these envelopes: `local_azure(log("hello"), …, rows=7)`."""
    started: list[AzureOnThisMachine] = []

    def start(*lines: Any, rows: int = 500_000, strict: bool = False) -> AzureOnThisMachine:
        azure = AzureOnThisMachine(tmp_path / f"azure{len(started)}", strict=strict, query_rows_max=rows)
        started.append(azure.start())
        if lines:
            send(azure, list(lines))
        return azure

    yield start
    for azure in started:
        azure.stop()


def connect_to(azure: AzureOnThisMachine, name: str = "resource_id", **more: Any) -> Questions:
    """Return the questions over one of its ids."""
    return connect(**{name: getattr(azure, name)}, endpoint=azure.query_endpoint, **more)


def paged_questions(
    azure: AzureOnThisMachine, page_rows: int = 50_000, slept: list[float] | None = None, **options: Any
) -> Questions:
    """Return the questions over its resource in small pages. `slept` gets the pauses, which are not made."""
    rate_limit = RateLimit(sleep=([] if slept is None else slept).append)
    scope = parse_scope("resource_id", azure.resource_id, endpoint=azure.query_endpoint)
    return Questions(ServiceStore(QueryClient(scope, rate_limit=rate_limit, **options), page_rows=page_rows))


def count_queries(azure: AzureOnThisMachine) -> int:
    """Return the number of queries that it has received."""
    return sum(1 for request in azure.requests_log if request.service == "query")


def error_body(code: str, message: str, *inner: tuple[str, str]) -> str:
    """An error as the service nests it."""
    error: dict[str, Any] = {"code": code, "message": message}
    deepest = error
    for inner_code, inner_message in inner:
        deepest["innererror"] = {"code": inner_code, "message": inner_message}
        deepest = deepest["innererror"]
    return json.dumps({"error": error})


def unknown_table_body(name: str) -> str:
    """The service's error for an unknown table."""
    text = f"'union' operator: Failed to resolve table or column expression named '{name}'"
    semantic = ("SemanticError", "A semantic error occurred."), ("SEM0100", text)
    return error_body("BadArgumentError", "The request had some invalid properties", *semantic)
