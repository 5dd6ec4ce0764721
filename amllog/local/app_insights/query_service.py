"""Run KQL over the received envelopes, like the query services of Application Insights and Log Analytics.

The paths are `/v1/workspaces/{id}/query`, `/v1/{resource id}/query` and `/v1/apps/{id}/query`. Queries need DuckDB.
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
# Clients of version 1.x send no version in the path.
_PATHS = ("/v1/{scope*}/query", "/workspaces/{workspace}/query", "/apps/{app}/query")
_HELD_BYTES = 32_000_000  # up to this size, received envelopes are read once and not again for each query
CONCURRENT_QUERIES, QUEUE_SECONDS = 3, 30.0  # other queries wait up to this time
_WAIT = re.compile(r"\bwait=(\d{1,6})\b", re.ASCII)  # of the header Prefer
_NEEDED = ("duckdb", "numpy")
_DURATION = re.compile(r"P(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?", re.ASCII)
_BEGIN = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TimeRange(NamedTuple):
    """A time range, both ends included."""

    since: datetime
    until: datetime


class QueryService:
    """The query operations on `*.jsonl` in a directory."""

    def __init__(self, received: Path, *, strict: bool, limits: ResponseLimits) -> None:
        self._received, self._strict, self._limits = received, strict, limits
        self._engines: LifoQueue[Engine | None] = LifoQueue()  # None: an engine that is created on first use
        for _ in range(CONCURRENT_QUERIES):
            self._engines.put(None)

    def routes(self) -> list[Route]:
        """Return the routes of the operations."""
        return [Route("POST", path, Credential.QUERY, self._query) for path in _PATHS]

    def _query(self, request: Request, names: Names) -> Response:
        if self._strict and not request.headers.get("authorization", "").startswith("Bearer "):
            raise Refusal(401, "A bearer token is required", "InvalidTokenError")
        is_workspace = _is_workspace(request.path)
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            message = f"pip install 'amllog[insights]': KQL needs {' and '.join(missing)}"
            raise Refusal(501, message, "NotImplemented")
        body = request.json()
        text = body.get("query") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text.strip():
            return Response.from_value(query_response.bad_argument("SYN0001", "The query is empty"), 400)
        try:
            time_range = parse_timespan(body.get("timespan"), datetime.now(timezone.utc))
        except ValueError as error:
            return Response.from_value(query_response.bad_argument("SEM0001", f"timespan: {error}"), 400)
        return self._run(text, time_range, request, workspace=is_workspace)

    def _run(self, kql: str, time_range: TimeRange | None, request: Request, *, workspace: bool) -> Response:
        from amllog.insights.stores.local import duckdb_limits
        from amllog.insights.stores.local.duckdb_engine import Engine

        try:
            engine = self._engines.get(timeout=QUEUE_SECONDS)
        except Empty:
            error = {
                "code": "ThrottledError",
                "message": f"{CONCURRENT_QUERIES} queries are running: try again later",
            }
            return Response(429, orjson.dumps({"error": error}), {"Retry-After": "5"})
        limits = duckdb_limits.Limits(*self._limits, _timeout(request), request.is_disconnected)
        try:
            engine = engine or Engine()
            records, files = self._records(engine, time_range)
            answer = engine.run_kql(kql, records, dialects=(workspace,), files=files, limits=limits)
        except duckdb_limits.QueryTimeout as error:
            return Response.from_value({"error": {"code": "GatewayTimeout", "message": str(error)}}, 504)
        except UsageError as error:
            status, body = query_response.error_response(error)
            return Response.from_value(body, status)
        finally:
            self._engines.put(engine)
        return self._respond(answer, request)

    def _respond(self, answer: QueryResult, request: Request) -> Response:
        """Return the rows as JSON, without those that a fault removes."""
        names, rows, types, reached = answer
        kept, message = rows, ""
        if request.fault and request.fault.item is not None:
            verdicts = [request.fault.verdict(_as_item(names, row)) for row in rows]
            kept = [row for row, verdict in zip(rows, verdicts) if verdict is None]
            message = next((verdict.message for verdict in verdicts if verdict), "")
        body = query_response.build_response(names, types, kept, self._limits, reached)
        return Response.from_value(query_response.with_error(body, message, "80DA0001") if message else body)

    def _records(self, engine: Engine, time_range: TimeRange | None) -> tuple[str, list[Path]]:
        """Return the SELECT over the received envelopes, and the files that it reads."""
        from amllog.insights.stores.local import duckdb_views

        files = {
            path: path.stat().st_size for path in sorted(self._received.glob("*.jsonl")) if is_own_file(path)
        }
        read = [path for path, size in files.items() if size]
        records = duckdb_views.records(read)
        if sum(files.values()) <= _HELD_BYTES:
            # The cache is valid while the sizes are the same, because the files only grow.
            records, read = engine.cache_records(records, files), []
        if time_range is None:
            return records, read
        since, until = (f"TIMESTAMP '{time.replace(tzinfo=None).isoformat(' ')}'" for time in time_range)
        return f"SELECT * FROM ({records}) WHERE timestamp >= {since} AND timestamp <= {until}", read


def is_query_path(path: str) -> bool:
    """Return whether a path belongs to this service."""
    return path.lower().endswith("/query") and path.lower().startswith(("/v1/", "/workspaces/", "/apps/"))


def parse_timespan(value: object, now: datetime) -> TimeRange | None:
    """Parse `PT3600S`, `start/end` or `start/PT1H`. None is all time. Raises ValueError for other values."""
    if value is None or value == "":
        return None
    try:
        return TimeRange(*(time.astimezone(timezone.utc) for time in _parse_range(str(value), now)))
    except OverflowError as error:
        raise ValueError(f"{str(value)[:100]!r} goes beyond the years 1 to 9999") from error


def _parse_range(text: str, now: datetime) -> TimeRange:
    first, slash, second = text.partition("/")
    if not slash:
        return TimeRange(now - _parse_duration(first), now)
    if first.startswith("P"):
        end = _parse_time(second)
        return TimeRange(end - _parse_duration(first), end)
    begin = _parse_time(first)
    return TimeRange(
        begin, begin + _parse_duration(second) if second.startswith("P") else _parse_time(second)
    )


def _timeout(request: Request) -> float:
    """Return the time limit of a query in seconds from the header Prefer, up to the limit of the service."""
    from amllog.insights.stores.local import duckdb_limits

    match = _WAIT.search(request.headers.get("prefer", ""))
    return min(max(1.0, float(match[1])), duckdb_limits.LONGEST_SECONDS) if match else duckdb_limits.SECONDS


def _is_workspace(path: str) -> bool:
    """Return whether a workspace is queried, whose tables have other names. Raises `Refusal` for unknown ids."""
    scope = re.sub(r"^/v1(?=/)", "", path, flags=re.IGNORECASE).rpartition("/")[0].lower()
    known = {f"/workspaces/{WORKSPACE_ID}": True, f"/apps/{APP_ID}": False, RESOURCE_ID.lower(): False}
    if scope not in known:
        kind = {"workspaces": "Workspace", "apps": "Application"}.get(scope.split("/")[1], "Resource")
        raise Refusal(404, f"The {kind.lower()} could not be found", f"{kind}NotFoundError")
    return known[scope]


def _parse_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise ValueError(f"{text[:100]!r} is not an ISO 8601 duration")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _parse_time(text: str) -> datetime:
    from amllog.insights.query import cell_types

    time = cell_types.to_time(text)
    if time is None:
        raise ValueError(f"{text[:100]!r} is not an ISO 8601 time")
    return time


def _as_item(names: tuple[str, ...], row: tuple[Any, ...]) -> Mapping[str, Any]:
    """Return a row as the item that a fault is compared with."""
    return {name: str(value) for name, value in zip(names, row)}
