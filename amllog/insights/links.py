"""URLs of a query in the portal's Logs, of an end-to-end transaction, and of a run's page in the studio.

The functions send no request. They raise UsageError for an invalid id. The routes of the portal are those of its
"copy link" button, because Microsoft documents only the encoding of the query.
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
# Of items that a transaction begins with.
TABLES = ("traces", "exceptions", "requests", "dependencies", "customEvents")

_RETENTION = timedelta(days=90)  # the default of Application Insights
_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[\w-]+)/resourceGroups/(?P<group>[\w.() -]+)/providers/"
    r"(?P<type>Microsoft\.Insights/components|Microsoft\.OperationalInsights/workspaces)/(?P<name>[\w.() -]+)",
    re.IGNORECASE,
)


class AzureResource(NamedTuple):
    """An Application Insights resource or a Log Analytics workspace, by its id."""

    id: str
    subscription: str
    group: str
    name: str
    is_workspace: bool

    @property
    def type(self) -> str:
        """The type of the resource, as in the URLs of the portal."""
        if self.is_workspace:
            return "microsoft.operationalinsights/workspaces"
        return "microsoft.insights/components"


def resource(resource_id: str) -> AzureResource:
    """Return the resource of an id. UsageError if it is not that of Application Insights or a workspace."""
    match = _RESOURCE.fullmatch("/" + resource_id.strip().strip("/"))
    if match is None:
        raise UsageError(
            f"resource_id={resource_id!r}: /subscriptions/…/resourceGroups/…/providers/microsoft.insights/components/… "
            "(portal: the Application Insights resource, Properties, Resource ID), or that of a workspace"
        )
    is_workspace = match["type"].lower().endswith("workspaces")
    return AzureResource(match[0], match["subscription"], match["group"], match["name"], is_workspace)


class Portal(NamedTuple):
    """A resource, and the host of its portal."""

    resource: AzureResource
    host: str = PORTAL

    @classmethod
    def of(cls, resource_id: str, endpoint: str = "") -> Portal:
        """Return the portal of a resource id and of the query endpoint, because each cloud has another portal."""
        domain = (urlsplit(endpoint).hostname or "").rpartition(".")[2]
        return cls(resource(resource_id), PORTALS[{"us": "government", "cn": "china"}.get(domain, "public")])

    def logs(self, kql: str, since: datetime | timedelta | None = None, until: datetime | None = None) -> str:
        """Return a link to Logs with a query, over the given time or the last 90 days."""
        last = since if isinstance(since, timedelta) else _RETENTION
        begin = since if isinstance(since, datetime) else None
        return logs(self.resource.id, kql, last=last, since=begin, until=until, portal=self.host)

    def transaction(self, item_id: str, timestamp: datetime, table: str) -> str:
        """Return a link to the end-to-end transaction that begins with one item."""
        return transaction(self.resource.id, item_id, timestamp, table=table, portal=self.host)

    def operation(self, operation_id: str) -> str:
        """Return a link to all records of one operation, in Logs."""
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
    """Return a link to the Logs of a resource with `kql`, over the time `last` (default: 7 days) or a time range.

    `tenant` is the tenant id or domain, if you have several. `portal` is a host of `PORTALS` or another https address.
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
    """Return a link to the end-to-end transaction that begins with one item.

    `item_id` is the `itemId` of a record, which only the service returns, and only for an Application Insights
    resource. UsageError for a workspace.
    """
    where = resource(resource_id)
    if where.is_workspace:
        raise UsageError(f"resource_id={resource_id!r}: only an Application Insights resource has this view")
    if table not in TABLES:
        raise UsageError(f"table={table!r}: one of {', '.join(TABLES)}")
    component = {
        "SubscriptionId": where.subscription,
        "ResourceGroup": where.group,
        "Name": where.name,
        "LinkedApplicationType": 0,
        "ResourceId": _quoted(where.id),
        "ResourceType": where.type,
        "IsAzureFirst": False,
    }
    model = {"eventId": item_id, "timestamp": _iso(timestamp), "eventTable": table}
    return (
        f"{_blade(portal, tenant)}/view/AppInsightsExtension/DetailsV2Blade"
        f"/ComponentId~/{_json(component)}/DataModel~/{_json(model)}"
    )


def operation(resource_id: str, operation_id: str, *, tenant: str = "", portal: str = PORTAL) -> str:
    """Return a link to all records of one operation in Logs, in time order. It needs no `itemId`."""
    from amllog.insights.query import kql_literals

    if resource(resource_id).is_workspace:
        tables = "AppTraces, AppExceptions, AppRequests, AppDependencies, AppEvents"
        column, time = "OperationId", "TimeGenerated"
    else:
        tables, column, time = ", ".join(TABLES), "operation_Id", "timestamp"
    text = f"union {tables}\n| where {column} == {kql_literals.literal(operation_id)}\n| order by {time} asc"
    return logs(resource_id, text, last=_RETENTION, tenant=tenant, portal=portal)


def run(row: Mapping[str, object], *, step_id: str = "") -> str:
    """Return the studio page of the pipeline run of a row, or of its dimensions. "" outside Azure ML.

    With `step_id`, the page of that step.
    """
    dimensions = row.get("dimensions")
    nested = dimensions.get("run_url") if isinstance(dimensions, Mapping) else ""
    url = str(row.get("run_url") or nested or "")
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.path.startswith("/runs/"):
        return ""
    return parts._replace(path=f"/runs/{_quoted(step_id)}").geturl() if step_id else url


def studio(run_id: str, workspace: str, *, tenant: str = "", host: str = "https://ml.azure.com") -> str:
    """Return the studio page of a run, by the id of the Azure ML workspace `/subscriptions/…/workspaces/…`."""
    url = f"{host.rstrip('/')}/runs/{_quoted(run_id)}?wsid={quote('/' + workspace.strip('/'), safe='/')}"
    return f"{url}&{urlencode({'tid': tenant})}" if tenant else url


def _blade(portal: str, tenant: str) -> str:
    host = PORTALS.get(portal, portal).rstrip("/")
    if urlsplit(host).scheme != "https":
        raise UsageError(f"portal={portal!r}: {', '.join(PORTALS)}, or the https address of a portal")
    return f"{host}/#@{_quoted(tenant)}" if tenant else f"{host}/#"


def _span(last: timedelta | None, since: datetime | None, until: datetime | None) -> str:
    if since is None and until is None:
        return iso_duration(last or timedelta(days=7))
    end = until or datetime.now(timezone.utc)
    return f"{_iso(since or end - (last or timedelta(days=7)))}/{_iso(end)}"


def iso_duration(span: timedelta) -> str:
    """Return a duration in ISO 8601, such as P7D or PT15M."""
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
