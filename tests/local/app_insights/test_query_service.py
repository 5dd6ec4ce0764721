"""The query service on this machine, as its real client and any HTTP client see it."""

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
from amllog.local.app_insights.query_response import ResponseLimits, build_response, error_response
from amllog.local.app_insights.query_service import CONCURRENT_QUERIES, TimeRange, parse_timespan

if TYPE_CHECKING:
    from ..conftest import Client

has_kql = all(importlib.util.find_spec(name) for name in ("duckdb", "duckdb_kql"))
runs_kql = pytest.mark.skipif(not has_kql, reason="KQL is run by duckdb-kql, which needs Python 3.11")
NOW = datetime(2026, 11, 23, 1, 0, 0, 123456, tzinfo=timezone.utc)
IDS = ("resource_id", "workspace_id", "app_id")


def path_of(azure: AzureOnThisMachine, kind: str) -> str:
    """The path of queries about one of its ids."""
    before = {"resource_id": "/v1", "workspace_id": "/v1/workspaces/", "app_id": "/v1/apps/"}
    return f"{before[kind]}{getattr(azure, kind)}/query"


def send(client: Client, *messages: str) -> None:
    """Have ingestion take log lines of now, hours apart, the latest first."""
    lines = []
    for index, message in enumerate(messages):
        at = datetime.now(timezone.utc) - timedelta(hours=index)
        data = {"ver": 2, "message": message, "properties": {"n": str(index)}}
        lines.append(
            {
                "name": "Microsoft.ApplicationInsights.Message",
                "time": at.isoformat().replace("+00:00", "Z"),
                "iKey": "00000000-0000-0000-0000-0000000010ca",
                "data": {"baseType": "MessageData", "baseData": data},
            }
        )
    assert client("POST", "/v2.1/track", lines).json["itemsAccepted"] == len(messages)


@runs_kql
@pytest.mark.slow
def test_the_real_client(azure: AzureOnThisMachine, client: Client) -> None:
    """query_workspace, query_resource, a time range, a partial result, an error."""
    query = pytest.importorskip("azure.monitor.query")
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError

    class Credential:
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            return AccessToken("x", 4_000_000_000)

    send(client, "now", "before")
    real = query.LogsQueryClient(Credential(), endpoint=azure.query_endpoint)
    text = "AppTraces | project TimeGenerated, Message, Properties | order by TimeGenerated asc"
    found = real.query_workspace(azure.workspace_id, text, timespan=None, enforce_https=False)
    assert [row["Message"] for row in found.tables[0].rows] == ["before", "now"]
    assert found.tables[0].columns_types == ["datetime", "string", "dynamic"]
    assert found.tables[0].rows[0]["TimeGenerated"].tzinfo is not None
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
def test_the_answer_is_the_services_json(azure: AzureOnThisMachine, client: Client, kind: str) -> None:
    """Tables, columns with Kusto's types, rows; each scope knows its own names for the tables only."""
    send(client, "hello")
    mine, other = ("AppTraces", "traces") if kind == "workspace_id" else ("traces", "AppTraces")
    reply = client("POST", path_of(azure, kind), {"query": f"{mine} | count", "timespan": None})
    columns = [{"name": "Count", "type": "long"}]
    assert reply.json == {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [[1]]}]}
    refused = client("POST", path_of(azure, kind), {"query": f"{other} | count"})
    semantic = refused.json["error"]["innererror"]["innererror"]
    assert (refused.status, semantic["code"]) == (400, "SEM0100")
    assert semantic["message"].endswith(f"named '{other}'")
    old = client("POST", path_of(azure, kind).replace("/v1/", "/", 1), {"query": f"{mine} | count"})
    assert (old.status, kind == "resource_id") in ((200, False), (404, True))


@runs_kql
@pytest.mark.slow
def test_more_than_the_limit(tmp_path: Path, make_client: Callable[[AzureOnThisMachine], Client]) -> None:
    """As many rows as the limit, and the error that says so."""
    with AzureOnThisMachine(tmp_path / "far", query_rows_max=2) as azure:
        client = make_client(azure)
        send(client, "a", "b", "c")
        found = client("POST", path_of(azure, "app_id"), {"query": "traces | project message"}).json
    assert len(found["tables"][0]["rows"]) == 2
    assert "E_QUERY_RESULT_SET_TOO_LARGE" in found["error"]["details"][0]["innererror"]["message"]


SLOW = (
    "range x from 1 to 100000 step 1 | extend k=1 "
    "| join kind=inner (range y from 1 to 100000 step 1 | extend k=1) on k | where x + y < 0 | count"
)


@runs_kql
def test_a_query_ends_at_the_time_that_its_client_gives_it(azure: AzureOnThisMachine, client: Client) -> None:
    """504, as the service answers, and the next query is answered."""
    reply = client("POST", path_of(azure, "app_id"), {"query": SLOW}, Prefer="wait=1")
    assert (reply.status, reply.json["error"]["code"]) == (504, "GatewayTimeout")
    assert client("POST", path_of(azure, "app_id"), {"query": "print 1"}).status == 200


@runs_kql
def test_long_queries_hold_up_nobody(
    azure: AzureOnThisMachine, make_client: Callable[[AzureOnThisMachine], Client]
) -> None:
    """Others are answered meanwhile, and a query ends when its client has gone."""
    address = urlsplit(azure.query_endpoint)
    path, body = f"{address.path}{path_of(azure, 'app_id')}", json.dumps({"query": SLOW})
    head = {"Authorization": "Bearer x", "Prefer": "wait=600"}
    long = [http.client.HTTPConnection(address.netloc, timeout=300) for _ in range(CONCURRENT_QUERIES)]
    for connection in long[1:]:
        connection.request("POST", path, body, head)
    ask = make_client(azure)
    for _ in range(3):
        assert ask("POST", path_of(azure, "app_id"), {"query": "print 1"}).status == 200
    long[0].request("POST", path, body, head)
    for connection in long:
        connection.close()
    assert ask("POST", path_of(azure, "app_id"), {"query": "print 1"}).status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/workspaces/x/query", 404, "WorkspaceNotFoundError"),
        ("/v1/apps/x/query", 404, "ApplicationNotFoundError"),
        ("/v1/subscriptions/x/query", 404, "ResourceNotFoundError"),
    ],
)
def test_ids_that_are_not_here(client: Client, path: str, status: int, code: str) -> None:
    """Each kind of id has its own error."""
    reply = client("POST", path, {"query": "traces"})
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_without_a_token(azure: AzureOnThisMachine, client: Client) -> None:
    """The service wants one."""
    assert client("POST", path_of(azure, "app_id"), {"query": "traces"}, Authorization="").status == 401


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
def test_bodies_that_ask_nothing(azure: AzureOnThisMachine, client: Client, body: object, code: str) -> None:
    """The service's 400, with the reason innermost."""
    reply = client("POST", path_of(azure, "app_id"), body)
    assert (reply.status, reply.json["error"]["innererror"]["innererror"]["code"]) == (400, code)


def test_without_the_packages(
    azure: AzureOnThisMachine, client: Client, tmp_path: Path, child: Callable[..., Any]
) -> None:
    """Where duckdb-kql is missing (Python before 3.11), the answer says what to install."""
    code = f"""
import json, sys, urllib.request, urllib.error
sys.modules["duckdb_kql"] = None
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
    ("value", "span"),
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
def test_time_ranges(value: object, span: TimeRange | None) -> None:
    """Every form that clients write."""
    assert parse_timespan(value, NOW) == span


def test_values_as_the_service_writes_them() -> None:
    """Texts are never null, times are UTC with Kusto's ticks, spans and odd numbers are texts."""
    values = [
        ("VARCHAR", None, "string", ""), ("BIGINT", None, "long", None), ("DOUBLE", float("nan"), "real", "NaN"),
        ("DOUBLE", float("-inf"), "real", "-Infinity"), ("BOOLEAN", True, "bool", True),
        ("TIMESTAMP", NOW.replace(tzinfo=None), "datetime", "2026-11-23T01:00:00.1234560Z"),
        ("TIMESTAMP WITH TIME ZONE", NOW.replace(microsecond=0), "datetime", "2026-11-23T01:00:00Z"),
        ("DATE", NOW.date(), "datetime", "2026-11-23T00:00:00Z"),
        ("INTERVAL", timedelta(days=1, seconds=61), "timespan", "1.00:01:01"),
        ("INTERVAL", timedelta(microseconds=-5), "timespan", "-00:00:00.0000050"),
        ("VARCHAR[]", ["a"], "dynamic", '["a"]'), ("JSON", '{"a":1}', "dynamic", '{"a":1}'),
        ("DECIMAL(18,3)", 1.5, "decimal", "1.5"),
    ]  # fmt: skip
    names, types, row = [str(n) for n in range(len(values))], [v[0] for v in values], [v[1] for v in values]
    (table,) = build_response(names, types, [row], ResponseLimits())["tables"]
    assert [column["type"] for column in table["columns"]] == [v[2] for v in values]
    assert table["rows"] == [[v[3] for v in values]]


def test_the_limit_of_bytes() -> None:
    """Rows as long as they fit, and the error that says so."""
    found = build_response(["a"], ["VARCHAR"], [["x" * 40]] * 5, ResponseLimits(bytes=100))
    assert len(found["tables"][0]["rows"]) == 2
    assert "100 bytes" in found["error"]["details"][0]["innererror"]["message"]


def test_what_the_engine_cannot_do_is_no_fault_of_the_query() -> None:
    """KQL that duckdb-kql does not know is 501; anything else that it says is 400 with its words."""
    assert error_response("unsupported KQL construct 'function:foo'")[0] == 501
    status, body = error_response("some other trouble")
    assert (status, body["error"]["innererror"]["innererror"]["message"]) == (400, "some other trouble")
