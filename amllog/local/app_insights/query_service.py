"""The query service of Application Insights and Log Analytics on this machine: it runs the KQL that it receives.

In: POST to `/v1/workspaces/{id}/query`, `/v1/{resource id}/query`, `/v1/apps/{id}/query`; the folder of envelopes that
ingestion keeps. Out: rows in the service's JSON. It takes DuckDB and duckdb-kql, which needs Python 3.11.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from amllog.errors import UsageError
from amllog.local.app_insights import query_response
from amllog.local.app_insights.query_response import ResponseLimits
from amllog.local.http.request import Refusal, Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.storage import is_own_file

if TYPE_CHECKING:
    from amllog.insights.stores.local.duckdb_engine import Engine, QueryResult

WORKSPACE_ID = "00000000-0000-0000-0000-00000000a11a"
APP_ID = "00000000-0000-0000-0000-00000000a991"
RESOURCE_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/"
    "providers/microsoft.insights/components/this-machine"
)
_PATHS = (
    "/v1/{scope*}/query",
    "/workspaces/{workspace}/query",
    "/apps/{app}/query",
)  # clients of 1.x name no version
_HELD_BYTES = 32_000_000  # of received envelopes, that many are read once and not again for each query
CONCURRENT_QUERIES, QUEUE_SECONDS = 3, 30.0  # queries; the others wait so long for their turn
_WAIT = re.compile(r"\bwait=(\d{1,6})\b", re.ASCII)  # in the header Prefer
_NEEDED = ("duckdb", "duckdb_kql")
_DURATION = re.compile(r"P(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?", re.ASCII)
_BEGIN = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TimeRange(NamedTuple):
    """A time range, both ends included."""

    since: datetime
    until: datetime


class QueryService:
    """Answers queries over `*.jsonl` in a folder."""

    def __init__(self, received: Path, *, strict: bool, limits: ResponseLimits) -> None:
        self._received, self._strict, self._limits = received, strict, limits
        self._free: LifoQueue[Engine | None] = LifoQueue()  # None: may be made
        for _ in range(CONCURRENT_QUERIES):
            self._free.put(None)

    def routes(self) -> list[Route]:
        """Its operations."""
        return [Route("POST", path, Credential.QUERY, self._query) for path in _PATHS]

    def _query(self, request: Request, names: Names) -> Response:
        if self._strict and not request.headers.get("authorization", "").startswith("Bearer "):
            raise Refusal(401, "A bearer token is required", "InvalidTokenError")
        dialect = _dialect(request.path)
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            told = (
                f"pip install 'amllog[insights]' on Python 3.11 or later: {', '.join(missing)} runs the KQL"
            )
            raise Refusal(501, told, "NotImplemented")
        body = request.json()
        text = body.get("query") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text.strip():
            return Response.of(query_response.bad_argument("SYN0001", "The query is empty"), 400)
        try:
            span = parse_timespan(body.get("timespan"), datetime.now(timezone.utc))
        except ValueError as error:
            return Response.of(query_response.bad_argument("SEM0001", f"timespan: {error}"), 400)
        return self._answer(text, span, request, workspace=dialect)

    def _answer(self, kql: str, span: TimeRange | None, request: Request, *, workspace: bool) -> Response:
        from amllog.insights.stores.local import duckdb_limits
        from amllog.insights.stores.local.duckdb_engine import Engine

        try:
            engine = self._free.get(timeout=QUEUE_SECONDS)
        except Empty:
            error = {
                "code": "ThrottledError",
                "message": f"{CONCURRENT_QUERIES} queries are running: ask again later",
            }
            return Response(429, orjson.dumps({"error": error}), {"Retry-After": "5"})
        limits = duckdb_limits.Limits(*self._limits, _seconds(request), request.is_disconnected)
        try:
            engine = engine or Engine()
            records, files = self._records(engine, span)
            found = engine.run_kql(kql, records, dialects=(workspace,), files=files, limits=limits)
        except duckdb_limits.QueryTimeout as error:
            return Response.of({"error": {"code": "GatewayTimeout", "message": str(error)}}, 504)
        except UsageError as error:
            status, refusal = query_response.refusal(str(error))
            return Response.of(refusal, status)
        finally:
            self._free.put(engine)
        return self._told(found, request)

    def _told(self, found: QueryResult, request: Request) -> Response:
        """The rows as JSON, without those that a fault hits."""
        names, rows, types, reached = found
        kept, told = rows, ""
        if request.fault and request.fault.item is not None:
            verdicts = [request.fault.verdict(_as_item(names, row)) for row in rows]
            kept = [row for row, verdict in zip(rows, verdicts) if verdict is None]
            told = next((verdict.message for verdict in verdicts if verdict), "")
        body = query_response.answer(names, types, kept, self._limits, reached)
        return Response.of(query_response.with_error(body, told, "80DA0001") if told else body)

    def _records(self, engine: Engine, span: TimeRange | None) -> tuple[str, list[Path]]:
        """The SELECT over what has been received, and the files that it reads."""
        from amllog.insights.stores.local import duckdb_views

        files = {
            path: path.stat().st_size for path in sorted(self._received.glob("*.jsonl")) if is_own_file(path)
        }
        read = [path for path, size in files.items() if size]
        records = duckdb_views.records(read)
        if sum(files.values()) <= _HELD_BYTES:
            records, read = engine.cache_records(records, files), []  # they only grow
        if span is None:
            return records, read
        since, until = (f"TIMESTAMP '{time.replace(tzinfo=None).isoformat(' ')}'" for time in span)
        return f"SELECT * FROM ({records}) WHERE timestamp >= {since} AND timestamp <= {until}", read


def is_query_path(path: str) -> bool:
    """Whether a path is one of this service's."""
    return path.lower().endswith("/query") and path.lower().startswith(("/v1/", "/workspaces/", "/apps/"))


def parse_timespan(value: object, now: datetime) -> TimeRange | None:
    """`PT3600S`, `start/end`, `start/PT1H`; None is all time. ValueError for anything else."""
    if value is None or value == "":
        return None
    try:
        return TimeRange(*(time.astimezone(timezone.utc) for time in _span(str(value), now)))
    except OverflowError as error:
        raise ValueError(f"{str(value)[:100]!r} goes beyond the years 1 to 9999") from error


def _span(text: str, now: datetime) -> TimeRange:
    first, slash, second = text.partition("/")
    if not slash:
        return TimeRange(now - _duration(first), now)
    if first.startswith("P"):
        end = _instant(second)
        return TimeRange(end - _duration(first), end)
    begin = _instant(first)
    return TimeRange(begin, begin + _duration(second) if second.startswith("P") else _instant(second))


def _seconds(request: Request) -> float:
    """The time limit of a query in seconds, from the header Prefer. At most that of the service."""
    from amllog.insights.stores.local import duckdb_limits

    asked = _WAIT.search(request.headers.get("prefer", ""))
    return min(max(1.0, float(asked[1])), duckdb_limits.LONGEST_SECONDS) if asked else duckdb_limits.SECONDS


def _dialect(path: str) -> bool:
    """Whether the tables have a workspace's names; a `Refusal` for ids that are not ours."""
    scope = re.sub(r"^/v1(?=/)", "", path, flags=re.IGNORECASE).rpartition("/")[0].lower()
    known = {f"/workspaces/{WORKSPACE_ID}": True, f"/apps/{APP_ID}": False, RESOURCE_ID.lower(): False}
    if scope not in known:
        kind = {"workspaces": "Workspace", "apps": "Application"}.get(scope.split("/")[1], "Resource")
        raise Refusal(404, f"The {kind.lower()} could not be found", f"{kind}NotFoundError")
    return known[scope]


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise ValueError(f"{text[:100]!r} is no ISO 8601 duration")
    days, hours, minutes, seconds = (float(one or 0) for one in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _instant(text: str) -> datetime:
    from amllog.insights.query import cell_types

    found = cell_types.to_time(text)
    if found is None:
        raise ValueError(f"{text[:100]!r} is no ISO 8601 time")
    return found


def _as_item(names: tuple[str, ...], row: tuple[Any, ...]) -> Mapping[str, Any]:
    """A row as faults see it."""
    return {name: str(value) for name, value in zip(names, row)}
