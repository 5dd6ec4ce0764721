"""Links into the portal and the studio, parsed as the portal does."""

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
    """Return the value after each name in a link to Logs."""
    steps = urlsplit(link).fragment.split("/")
    return {name: unquote(value) for name, value in zip(steps, steps[1:])}


def query(link: str) -> str:
    """Return the KQL in a link."""
    return gzip.decompress(base64.b64decode(parts(link)["q"])).decode()


@pytest.mark.parametrize(
    "kql", ["traces\n| take 5", 'traces | where message == "é/+ \\"#%😀"', "x" * 5000, ""]
)
def test_logs(kql: str) -> None:
    """A link contains the resource and the query unchanged, and equal queries have equal links."""
    link = links.logs(ID, kql)
    assert link.startswith(
        "https://portal.azure.com/#/blade/Microsoft_OperationsManagementSuite_Workspace/Logs.ReactView/"
    )
    assert (parts(link)["resourceId"], query(link), parts(link)["timespan"]) == (ID, kql, "P7D")
    assert parts(link)["source"] == "LogsBlade.AnalyticsShareLinkToQuery"
    assert link == links.logs(ID.strip("/"), kql) and " " not in link


def test_times() -> None:
    """The time range is relative to now or a pair of times in UTC."""
    span = {"last": timedelta(hours=36, minutes=5)}
    assert parts(links.logs(ID, "", **span))["timespan"] == "P1DT12H5M"
    between = links.logs(ID, "", since=NOON, until=NOON + timedelta(days=1))
    assert parts(between)["timespan"] == "2026-11-22T12:00:00.123Z/2026-11-23T12:00:00.123Z"
    last = links.logs(ID, "", until=NOON, last=timedelta(days=2))
    assert parts(last)["timespan"] == "2026-11-20T12:00:00.123Z/2026-11-22T12:00:00.123Z"


@pytest.mark.parametrize(
    ("portal", "prefix"),
    [
        ("china", "https://portal.azure.cn/#@t.example/"),
        ("government", "https://portal.azure.us/#@t.example/"),
        ("https://portal.azure.eaglex.example/", "https://portal.azure.eaglex.example/#@t.example/"),
    ],
)
def test_sovereign_clouds(portal: str, prefix: str) -> None:
    """A link has the host of the cloud's portal and the tenant."""
    assert links.logs(ID, "traces", portal=portal, tenant="t.example").startswith(prefix)
    assert links.transaction(ID, "i", NOON, portal=portal, tenant="t.example").startswith(prefix)


def test_transaction() -> None:
    """A link to a transaction contains the component and the item as JSON."""
    link = links.transaction(ID, "item-1", NOON, table="exceptions")
    values = parts(link)
    assert json.loads(values["DataModel~"]) == {
        "eventId": "item-1", "timestamp": "2026-11-22T12:00:00.123Z", "eventTable": "exceptions",
    }  # fmt: skip
    component = json.loads(values["ComponentId~"])
    assert (component["SubscriptionId"], component["ResourceGroup"], component["Name"]) == (
        "5ad0",
        "my rg",
        "my-ai",
    )
    assert unquote(component["ResourceId"]) == ID


def test_operation() -> None:
    """A link to an operation has its id in the dialect of the resource."""
    assert query(links.operation(ID, 'a"b')).splitlines()[1] == '| where operation_Id == "a\\"b"'
    assert query(links.operation(WORKSPACE, "ab")).splitlines()[1:] == [
        '| where OperationId == "ab"', "| order by TimeGenerated asc",
    ]  # fmt: skip


def test_studio() -> None:
    """The page of a run comes from a row or from the workspace."""
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
    ("create", "message"),
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
def test_invalid_arguments(create, message: str) -> None:
    """The error names the argument, its value and the allowed values."""
    with pytest.raises(UsageError) as caught:
        create()
    assert message in str(caught.value)


def test_every_answer_has_its_link() -> None:
    """A table links to its KQL in the resource's dialect and time range, and to nothing without a resource."""
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
    """The query endpoint selects the portal, and an invalid id is an error."""
    for endpoint, host in (("", "azure.com"), ("https://api.loganalytics.us", "azure.us"),
                           ("https://api.loganalytics.azure.cn", "azure.cn")):  # fmt: skip
        assert links.Portal.of(ID, endpoint).logs("traces").startswith(f"https://portal.{host}/#/blade/")
    with pytest.raises(UsageError, match="resource_id='x'"):
        links.Portal.of("x")


def test_free_kql_has_its_link(journal: Callable[..., Path]) -> None:
    """Free KQL is in its link unchanged."""
    pytest.importorskip("duckdb")
    kql = "traces | count"
    table = connect(journal(log("x")), environ={"AMLLOG_RESOURCE_ID": ID}).query(kql)
    assert len(table) == 1 and table.portal_link is not None and query(table.portal_link) == kql
