"""Links: a query in the portal's Logs, one item's end-to-end transaction, a run's page in the studio.

In: the id of an Application Insights resource or a workspace, KQL, what a row says. Out: addresses; nothing is asked.
UsageError for an id that is none. The portal's routes are those that its own "copy link" gives; Microsoft documents
only the encoding of the query.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from amllog.errors import UsageError

PORTAL = "https://portal.azure.com"
PORTALS = {"public": PORTAL, "china": "https://portal.azure.cn", "government": "https://portal.azure.us"}
TABLES = (
    "traces",
    "exceptions",
    "requests",
    "dependencies",
    "customEvents",
)  # those that the view can begin with

_KEPT = timedelta(days=90)  # how long Application Insights keeps records, unless it is told otherwise
_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[\w-]+)/resourceGroups/(?P<group>[\w.() -]+)/providers/"
    r"(?P<type>Microsoft\.Insights/components|Microsoft\.OperationalInsights/workspaces)/(?P<name>[\w.() -]+)",
    re.IGNORECASE,
)


class AzureResource(NamedTuple):
    """A resource that has logs, by its id."""

    id: str
    subscription: str
    group: str
    name: str
    is_workspace: bool

    @property
    def type(self) -> str:
        """The resource's type, as the portal writes it."""
        return (
            "microsoft.operationalinsights/workspaces"
            if self.is_workspace
            else "microsoft.insights/components"
        )


def resource(resource_id: str) -> AzureResource:
    """The resource of an id; UsageError if it is not that of Application Insights or of a workspace."""
    match = _RESOURCE.fullmatch("/" + resource_id.strip().strip("/"))
    if match is None:
        raise UsageError(
            f"resource_id={resource_id!r}: /subscriptions/…/resourceGroups/…/providers/microsoft.insights/components/… "
            "(portal: the Application Insights resource, Properties, Resource ID), or that of a workspace"
        )
    is_workspace = match["type"].lower().endswith("workspaces")
    return AzureResource(match[0], match["subscription"], match["group"], match["name"], is_workspace)


class Portal(NamedTuple):
    """A resource whose portal is known: of Application Insights, or of a workspace."""

    resource: AzureResource
    host: str = PORTAL

    @classmethod
    def of(cls, resource_id: str, endpoint: str = "") -> Portal:
        """By the resource's id and the address at which it is asked: each cloud has a portal of its own."""
        domain = (urlsplit(endpoint).hostname or "").rpartition(".")[2]
        return cls(resource(resource_id), PORTALS[{"us": "government", "cn": "china"}.get(domain, "public")])

    def logs(self, kql: str, since: datetime | timedelta | None = None, until: datetime | None = None) -> str:
        """The Logs blade with a query that says its own time; without any, over the last 90 days."""
        last = since if isinstance(since, timedelta) else _KEPT
        begin = since if isinstance(since, datetime) else None
        return logs(self.resource.id, kql, last=last, since=begin, until=until, portal=self.host)

    def transaction(self, item_id: str, timestamp: datetime, table: str) -> str:
        """The end-to-end transaction that begins with one item."""
        return transaction(self.resource.id, item_id, timestamp, table=table, portal=self.host)

    def operation(self, operation_id: str) -> str:
        """All that is known of one operation, in Logs."""
        return operation(self.resource.id, operation_id, portal=self.host)


def logs(
    resource_id: str,
    kql: str,
    *,
    last: timedelta | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tenant: str = "",
    portal: str = PORTAL,
) -> str:
    """The Logs blade of a resource with `kql` in it, over the last time (default: 7 days) or from `since` to `until`.

    `tenant`: its id or domain, for who has several. `portal`: a host of `PORTALS`, or another sovereign cloud's.
    """
    where = resource(resource_id)
    packed = base64.b64encode(gzip.compress(kql.encode("utf-8", "replace"), mtime=0)).decode("ascii")
    return (
        f"{_blade(portal, tenant)}/blade/Microsoft_OperationsManagementSuite_Workspace/Logs.ReactView"
        f"/resourceId/{_quoted(where.id)}/source/LogsBlade.AnalyticsShareLinkToQuery/q/{_quoted(packed)}"
        f"/timespan/{_quoted(_span(last, since, until))}"
    )


def transaction(
    resource_id: str,
    item_id: str,
    timestamp: datetime,
    *,
    table: str = "requests",
    tenant: str = "",
    portal: str = PORTAL,
) -> str:
    """The end-to-end transaction view that begins with one item: `item_id` is its `itemId`, which only the service
    gives, and only under the names of an Application Insights resource. UsageError for a workspace."""
    where = resource(resource_id)
    if where.is_workspace:
        raise UsageError(
            f"resource_id={resource_id!r}: that view belongs to an Application Insights resource"
        )
    if table not in TABLES:
        raise UsageError(f"table={table!r}: one of {', '.join(TABLES)}")
    component = {
        "SubscriptionId": where.subscription, "ResourceGroup": where.group, "Name": where.name,
        "LinkedApplicationType": 0, "ResourceId": _quoted(where.id), "ResourceType": where.type,
        "IsAzureFirst": False,
    }  # fmt: skip
    model = {"eventId": item_id, "timestamp": _iso(timestamp), "eventTable": table}
    return (
        f"{_blade(portal, tenant)}/view/AppInsightsExtension/DetailsV2Blade"
        f"/ComponentId~/{_json(component)}/DataModel~/{_json(model)}"
    )


def operation(resource_id: str, operation_id: str, *, tenant: str = "", portal: str = PORTAL) -> str:
    """All that is known of one operation, in time order, in Logs: where no `itemId` is at hand."""
    from amllog.insights.query import kql

    if resource(resource_id).is_workspace:
        tables, column, time = (
            "AppTraces, AppExceptions, AppRequests, AppDependencies, AppEvents",
            "OperationId",
            "TimeGenerated",
        )
    else:
        tables, column, time = ", ".join(TABLES), "operation_Id", "timestamp"
    text = f"union {tables}\n| where {column} == {kql.literal(operation_id)}\n| order by {time} asc"
    return logs(resource_id, text, last=_KEPT, tenant=tenant, portal=portal)


def run(row: Mapping[str, object], *, step_id: str = "") -> str:
    """The studio's page of the pipeline run that a row of an answer (or its dimensions) is of; "" where it does not
    say, as outside Azure ML. `step_id`: that step's page instead."""
    bag = row.get("dimensions")
    url = str(row.get("run_url") or (bag.get("run_url") if isinstance(bag, Mapping) else "") or "")
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.path.startswith("/runs/"):
        return ""
    return parts._replace(path=f"/runs/{_quoted(step_id)}").geturl() if step_id else url


def studio(run_id: str, workspace: str, *, tenant: str = "", host: str = "https://ml.azure.com") -> str:
    """The studio's page of a run, by the Azure ML workspace's id `/subscriptions/…/workspaces/…`."""
    found = f"{host.rstrip('/')}/runs/{_quoted(run_id)}?wsid={quote('/' + workspace.strip('/'), safe='/')}"
    return f"{found}&{urlencode({'tid': tenant})}" if tenant else found


def _blade(portal: str, tenant: str) -> str:
    host = PORTALS.get(portal, portal).rstrip("/")
    if urlsplit(host).scheme != "https":
        raise UsageError(f"portal={portal!r}: {', '.join(PORTALS)}, or https://… of a portal")
    return f"{host}/#@{_quoted(tenant)}" if tenant else f"{host}/#"


def _span(last: timedelta | None, since: datetime | None, until: datetime | None) -> str:
    if since is None and until is None:
        return iso_duration(last or timedelta(days=7))
    end = until or datetime.now(timezone.utc)
    return f"{_iso(since or end - (last or timedelta(days=7)))}/{_iso(end)}"


def iso_duration(span: timedelta) -> str:
    """A time as ISO 8601 has it: P7D, PT15M."""
    days, rest = span.days, span.seconds
    parts: Iterable[tuple[int, str]] = ((rest // 3600, "H"), (rest % 3600 // 60, "M"), (rest % 60, "S"))
    clock = "".join(f"{count}{unit}" for count, unit in parts if count)
    return f"P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}" if days or clock else "PT0S"


def _iso(time: datetime) -> str:
    aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return f"{aware.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _json(value: object) -> str:
    return _quoted(json.dumps(value, separators=(",", ":")))


def _quoted(text: str) -> str:
    return quote(text, safe="")
