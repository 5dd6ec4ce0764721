"""Links into the portal and the studio, taken apart again as the portal does."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from amllog.errors import UsageError
from amllog.insights import connect, links
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

from .conftest import log  # isort: skip

ID = "/subscriptions/5ad0/resourceGroups/my rg/providers/microsoft.insights/components/my-ai"
WORKSPACE = "/subscriptions/5ad0/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"
NOON = datetime(2026, 11, 22, 21, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))


def parts(link: str) -> dict[str, str]:
    """What follows each name in a link of the Logs blade."""
    steps = urlsplit(link).fragment.split("/")
    return {name: unquote(value) for name, value in zip(steps, steps[1:])}


def query(link: str) -> str:
    """The KQL in a link."""
    return gzip.decompress(base64.b64decode(parts(link)["q"])).decode()


@pytest.mark.parametrize(
    "kql", ["traces\n| take 5", 'traces | where message == "é/+ \\"#%😀"', "x" * 5000, ""]
)
def test_logs(kql: str) -> None:
    """The resource and the query come back as they were, whatever is in them; the same query is the same link."""
    link = links.logs(ID, kql)
    assert link.startswith(
        "https://portal.azure.com/#/blade/Microsoft_OperationsManagementSuite_Workspace/Logs.ReactView/"
    )
    assert (parts(link)["resourceId"], query(link), parts(link)["timespan"]) == (ID, kql, "P7D")
    assert parts(link)["source"] == "LogsBlade.AnalyticsShareLinkToQuery"
    assert link == links.logs(ID.strip("/"), kql) and " " not in link


def test_times() -> None:
    """A time back from now, or from one to the other, in UTC."""
    span = {"last": timedelta(hours=36, minutes=5)}
    assert parts(links.logs(ID, "", **span))["timespan"] == "P1DT12H5M"
    between = links.logs(ID, "", since=NOON, until=NOON + timedelta(days=1))
    assert parts(between)["timespan"] == "2026-11-22T12:00:00.123Z/2026-11-23T12:00:00.123Z"
    last = links.logs(ID, "", until=NOON, last=timedelta(days=2))
    assert parts(last)["timespan"] == "2026-11-20T12:00:00.123Z/2026-11-22T12:00:00.123Z"


@pytest.mark.parametrize(
    ("portal", "begins"),
    [
        ("china", "https://portal.azure.cn/#@t.example/"),
        ("government", "https://portal.azure.us/#@t.example/"),
        ("https://portal.azure.eaglex.example/", "https://portal.azure.eaglex.example/#@t.example/"),
    ],
)
def test_sovereign_clouds(portal: str, begins: str) -> None:
    """Another portal's host, and the tenant."""
    assert links.logs(ID, "traces", portal=portal, tenant="t.example").startswith(begins)
    assert links.transaction(ID, "i", NOON, portal=portal, tenant="t.example").startswith(begins)


def test_transaction() -> None:
    """The component and the item, as JSON in the address."""
    link = links.transaction(ID, "item-1", NOON, table="exceptions")
    found = parts(link)
    assert json.loads(found["DataModel~"]) == {
        "eventId": "item-1", "timestamp": "2026-11-22T12:00:00.123Z", "eventTable": "exceptions",
    }  # fmt: skip
    component = json.loads(found["ComponentId~"])
    assert (component["SubscriptionId"], component["ResourceGroup"], component["Name"]) == (
        "5ad0",
        "my rg",
        "my-ai",
    )
    assert unquote(component["ResourceId"]) == ID


def test_operation() -> None:
    """All of one operation, in the resource's own dialect."""
    assert query(links.operation(ID, 'a"b')).splitlines()[1] == '| where operation_Id == "a\\"b"'
    assert query(links.operation(WORKSPACE, "ab")).splitlines()[1:] == [
        '| where OperationId == "ab"', "| order by TimeGenerated asc",
    ]  # fmt: skip


def test_studio() -> None:
    """A run's page, from what a row says, or from the workspace."""
    wsid = "/subscriptions/s/resourcegroups/g/workspaces/w"
    url = links.studio("run 1", wsid, tenant="t")
    assert url.startswith("https://ml.azure.com/runs/run%201?wsid=/subscriptions/")
    assert parse_qs(urlsplit(url).query) == {"wsid": [wsid], "tid": ["t"]}
    assert links.run({"run_url": url}) == links.run({"dimensions": {"run_url": url}}) == url
    assert links.run({"run_url": url}, step_id="step").startswith(
        "https://ml.azure.com/runs/step?wsid=/subscriptions/"
    )
    for elsewhere in ({}, {"run_url": "file:///x/.amllog"}, {"run_url": "javascript://ml.azure.com/runs/"}):
        assert links.run(elsewhere) == ""


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: links.logs("x", ""), "resource_id='x': /subscriptions/"),
        (lambda: links.logs(f"{ID}/extra", ""), "resource_id="),
        (
            lambda: links.transaction(WORKSPACE, "i", NOON),
            "only an Application Insights resource has this view",
        ),
        (lambda: links.transaction(ID, "i", NOON, table="x"), "table='x': one of traces"),
        (lambda: links.logs(ID, "", portal="mars"), "portal='mars': public, china"),
    ],
)
def test_what_is_no_link(ask, said: str) -> None:
    """The error names the argument, its value and what is allowed."""
    with pytest.raises(UsageError) as caught:
        ask()
    assert said in str(caught.value)


def test_every_answer_has_its_link() -> None:
    """Its KQL in the resource's own names, over the time that it asks for; none without a resource."""
    assert Questions(Unasked()).errors().portal_link is None
    for resource, name in ((ID, "kql"), (WORKSPACE, "kql_workspace")):
        questions = Questions(Unasked(), links.Portal.of(resource))
        table = questions.errors(last="2d", run_type="training")
        assert table.portal_link is not None and questions.errors().portal_link is not None
        assert query(table.portal_link) == getattr(table, name)
        assert parts(table.portal_link)["timespan"] == "P2D"
        assert parts(questions.errors().portal_link)["timespan"] == "P90D"
    since = questions.logs(since=NOON, until=NOON + timedelta(hours=1))
    assert since.portal_link is not None
    assert parts(since.portal_link)["timespan"] == "2026-11-22T12:00:00.123Z/2026-11-22T13:00:00.123Z"


def test_each_cloud_has_its_portal() -> None:
    """By the address at which it is asked; an id that is none is told."""
    for endpoint, host in (("", "azure.com"), ("https://api.loganalytics.us", "azure.us"),
                           ("https://api.loganalytics.azure.cn", "azure.cn")):  # fmt: skip
        assert links.Portal.of(ID, endpoint).logs("traces").startswith(f"https://portal.{host}/#/blade/")
    with pytest.raises(UsageError, match="resource_id='x'"):
        links.Portal.of("x")


def test_free_kql_has_its_link(journal: Callable[..., Path]) -> None:
    """As it was given."""
    asked = pytest.importorskip("duckdb_kql") and "traces | count"
    found = connect(journal(log("x")), environ={"AMLLOG_RESOURCE_ID": ID}).query(asked)
    assert len(found) == 1 and found.portal_link is not None and query(found.portal_link) == asked
