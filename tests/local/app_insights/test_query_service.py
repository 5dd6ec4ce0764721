"""The local query service, with the client of Azure and any HTTP client."""

from __future__ import annotations

import http.client
import importlib.util
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from amllog.local import AzureOnThisMachine, Fault
from amllog.local.app_insights.query_service import CONCURRENT_QUERIES, TimeRange, parse_timespan

if TYPE_CHECKING:
    from ..conftest import Client

has_kql = importlib.util.find_spec("duckdb")
runs_kql = pytest.mark.skipif(not has_kql, reason="KQL is run by DuckDB")
NOW = datetime(2026, 11, 23, 1, 0, 0, 123456, tzinfo=timezone.utc)
IDS = ("resource_id", "workspace_id", "app_id")


def query_path(azure: AzureOnThisMachine, kind: str) -> str:
    """Return the path of queries for one of the ids."""
    before = {"resource_id": "/v1", "workspace_id": "/v1/workspaces/", "app_id": "/v1/apps/"}
    return f"{before[kind]}{getattr(azure, kind)}/query"


def send(client: Client, *messages: str) -> None:
    """Send log records of now, one hour apart, the latest first."""
    lines = []
    for index, message in enumerate(messages):
        time = datetime.now(timezone.utc) - timedelta(hours=index)
        data = {"ver": 2, "message": message, "properties": {"n": str(index)}}
        lines.append(
            {
                "name": "Microsoft.ApplicationInsights.Message",
                "time": time.isoformat().replace("+00:00", "Z"),
                "iKey": "00000000-0000-0000-0000-0000000010ca",
                "data": {"baseType": "MessageData", "baseData": data},
            }
        )
    assert client("POST", "/v2.1/track", lines).json["itemsAccepted"] == len(messages)


@runs_kql
@pytest.mark.slow
def test_the_real_client(azure: AzureOnThisMachine, client: Client) -> None:
    """The client of Azure queries a workspace and a resource, with a time range, a partial result and an error."""
    query = pytest.importorskip("azure.monitor.query")
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError

    class Credential:
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            return AccessToken("x", 4_000_000_000)

    send(client, "now", "before")
    real = query.LogsQueryClient(Credential(), endpoint=azure.query_endpoint)
    text = "AppTraces | project TimeGenerated, Message, Properties | order by TimeGenerated asc"
    result = real.query_workspace(azure.workspace_id, text, timespan=None, enforce_https=False)
    assert [row["Message"] for row in result.tables[0].rows] == ["before", "now"]
    assert result.tables[0].columns_types == ["datetime", "string", "dynamic"]
    assert result.tables[0].rows[0]["TimeGenerated"].tzinfo is not None
    text = "traces | project message"
    recent = real.query_resource(azure.resource_id, text, timespan=timedelta(minutes=30), enforce_https=False)
    assert [row["message"] for row in recent.tables[0].rows] == ["now"]
    azure.faults.put(Fault(service="query", item="before", status=500, message="half", times=1))
    partial = real.query_resource(azure.resource_id, text, timespan=None, enforce_https=False)
    assert (partial.status, [row[0] for row in partial.partial_data[0].rows]) == ("PartialError", ["now"])
    assert partial.partial_error.code == "PartialError"
    with pytest.raises(HttpResponseError) as caught:
        real.query_resource(azure.resource_id, "nothing", timespan=None, enforce_https=False)
    assert "BadArgumentError" in str(caught.value) and "SEM0100" in str(caught.value)


@runs_kql
@pytest.mark.slow
@pytest.mark.parametrize("kind", IDS)
def test_the_response_has_the_format_of_the_service(
    azure: AzureOnThisMachine, client: Client, kind: str
) -> None:
    """A response has tables, columns with Kusto's types, and rows. Each scope has only its own names of tables."""
    send(client, "hello")
    mine, other = ("AppTraces", "traces") if kind == "workspace_id" else ("traces", "AppTraces")
    reply = client("POST", query_path(azure, kind), {"query": f"{mine} | count", "timespan": None})
    columns = [{"name": "Count", "type": "long"}]
    assert reply.json == {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [[1]]}]}
    rejected = client("POST", query_path(azure, kind), {"query": f"{other} | count"})
    semantic = rejected.json["error"]["innererror"]["innererror"]
    assert (rejected.status, semantic["code"]) == (400, "SEM0100")
    assert semantic["message"].endswith(f"named '{other}'")
    old = client("POST", query_path(azure, kind).replace("/v1/", "/", 1), {"query": f"{mine} | count"})
    assert (old.status, kind == "resource_id") in ((200, False), (404, True))


@runs_kql
@pytest.mark.slow
def test_the_limit_of_rows(tmp_path: Path, make_client: Callable[[AzureOnThisMachine], Client]) -> None:
    """The response has the maximum number of rows, and an error that reports the limit."""
    with AzureOnThisMachine(tmp_path / "azure", query_rows_max=2) as azure:
        client = make_client(azure)
        send(client, "a", "b", "c")
        response = client("POST", query_path(azure, "app_id"), {"query": "traces | project message"}).json
    assert len(response["tables"][0]["rows"]) == 2
    assert "E_QUERY_RESULT_SET_TOO_LARGE" in response["error"]["details"][0]["innererror"]["message"]


SLOW = (
    "range x from 1 to 100000 step 1 | extend k=1 "
    "| join kind=inner (range y from 1 to 100000 step 1 | extend k=1) on k | where x + y < 0 | count"
)


@runs_kql
def test_the_time_limit_of_a_query(azure: AzureOnThisMachine, client: Client) -> None:
    """A query ends with 504 at the limit of its client, and the next query is answered."""
    reply = client("POST", query_path(azure, "app_id"), {"query": SLOW}, Prefer="wait=1")
    assert (reply.status, reply.json["error"]["code"]) == (504, "GatewayTimeout")
    assert client("POST", query_path(azure, "app_id"), {"query": "print 1"}).status == 200


@runs_kql
def test_long_queries_do_not_block_others(
    azure: AzureOnThisMachine, make_client: Callable[[AzureOnThisMachine], Client]
) -> None:
    """Other queries are answered meanwhile, and a query ends when its client disconnects."""
    address = urlsplit(azure.query_endpoint)
    path, body = f"{address.path}{query_path(azure, 'app_id')}", json.dumps({"query": SLOW})
    head = {"Authorization": "Bearer x", "Prefer": "wait=600"}
    long = [http.client.HTTPConnection(address.netloc, timeout=300) for _ in range(CONCURRENT_QUERIES)]
    for connection in long[1:]:
        connection.request("POST", path, body, head)
    other = make_client(azure)
    for _ in range(3):
        assert other("POST", query_path(azure, "app_id"), {"query": "print 1"}).status == 200
    long[0].request("POST", path, body, head)
    for connection in long:
        connection.close()
    assert other("POST", query_path(azure, "app_id"), {"query": "print 1"}).status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/workspaces/x/query", 404, "WorkspaceNotFoundError"),
        ("/v1/apps/x/query", 404, "ApplicationNotFoundError"),
        ("/v1/subscriptions/x/query", 404, "ResourceNotFoundError"),
    ],
)
def test_unknown_ids(client: Client, path: str, status: int, code: str) -> None:
    """Each kind of id has its own error."""
    reply = client("POST", path, {"query": "traces"})
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_without_a_bearer_token(azure: AzureOnThisMachine, client: Client) -> None:
    """The service requires a bearer token."""
    assert client("POST", query_path(azure, "app_id"), {"query": "traces"}, Authorization="").status == 401


@runs_kql
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "SYN0001"),
        ([], "SYN0001"),
        ({"query": " "}, "SYN0001"),
        ({"query": "traces", "timespan": "yesterday"}, "SEM0001"),
        ({"query": "traces", "timespan": "PT"}, "SEM0001"),
        ({"query": "traces", "timespan": f"PT{'9' * 400}S"}, "SEM0001"),
        ({"query": "traces", "timespan": "P800000D"}, "SEM0001"),
        ({"query": "traces", "timespan": "P1D/0001-01-01"}, "SEM0001"),
        ({"query": "traces", "timespan": "9999-12-31/P2D"}, "SEM0001"),
        ({"query": "traces", "timespan": ["P1D"]}, "SEM0001"),
    ],
)
def test_invalid_bodies(azure: AzureOnThisMachine, client: Client, body: object, code: str) -> None:
    """The response is a 400 with the reason in the innermost error."""
    reply = client("POST", query_path(azure, "app_id"), body)
    assert (reply.status, reply.json["error"]["innererror"]["innererror"]["code"]) == (400, code)


def test_without_the_packages(
    azure: AzureOnThisMachine, client: Client, tmp_path: Path, child: Callable[..., Any]
) -> None:
    """Without DuckDB, the error contains what to install."""
    code = f"""
import json, sys, urllib.request, urllib.error
sys.modules["duckdb"] = None
from amllog.local import AzureOnThisMachine
with AzureOnThisMachine({str(tmp_path / "bare")!r}, strict=False) as azure:
    url = f"{{azure.query_endpoint}}/v1/apps/{{azure.app_id}}/query"
    try:
        urllib.request.urlopen(urllib.request.Request(url, b'{{"query": "traces"}}'))
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""
    ran = child(code)
    assert ran.stdout.startswith("501 ") and "pip install 'amllog[insights]'" in ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("value", "time_range"),
    [
        (None, None),
        ("", None),
        ("PT3600.0S", TimeRange(NOW - timedelta(hours=1), NOW)),
        ("P1DT1H", TimeRange(NOW - timedelta(hours=25), NOW)),
        ("2026-01-01T00:00:00.000Z/2026-01-02T00:00:00Z",
         TimeRange(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))),
        ("2026-01-01T00:00:00Z/P1D",
         TimeRange(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))),
        ("P1D/2026-01-02T00:00:00Z",
         TimeRange(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))),
    ],
)  # fmt: skip
def test_time_ranges(value: object, time_range: TimeRange | None) -> None:
    """All formats of a time range are parsed."""
    assert parse_timespan(value, NOW) == time_range
