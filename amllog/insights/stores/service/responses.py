"""What the query service's answers mean, without I/O.

In: status, headers and body. Out: a `Reply`; or the error that says what was wrong and what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from amllog.errors import AmllogError, ServiceError, UsageError
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.service.scope import CLASSIC, WORKSPACE, Scope

DISCONNECTED = 0  # in place of a status: there is no whole answer
RETRYABLE = (429, 500, 502, 503, DISCONNECTED)  # asking again may help; 504 is a query that takes too long
ANY_TABLE = "*"  # of its tables the scope has none
_TOO_LARGE = ("E_QUERY_RESULT_SET_TOO_LARGE", "0x80DA0003", "-2133196797")
_UNKNOWN = re.compile(
    r"""(?:table or column expression named|resolve table)[^'"]*['"](\w+)"""
    r"""|name '(\w+)' does not refer to any known table""",
    re.IGNORECASE,
)
_NO_SUCH = (
    "WorkspaceNotFoundError",
    "PathNotFoundError",
    "ResourceNotFoundError",
    "ApplicationNotFoundError",
)
_ROLE = "Monitoring Reader or Log Analytics Reader"


class QueryResponse(NamedTuple):
    """Rows in the columns' order, as JSON has them. `types` are Kusto's. `incomplete_reason` says why rows are missing,
    `is_truncated` whether it is for their number or size. `unknown`: a table that
    the scope does not have; then there are no rows."""

    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: tuple[list[Any], ...] = ()
    incomplete_reason: str = ""
    is_truncated: bool = False
    unknown: str = ""


def parse_response(status: int, body: str, scope: Scope) -> QueryResponse:
    """The rows of an answer; raises what any other answer means."""
    found = _loaded(body)
    if status == 204:  # a workspace without any table
        return QueryResponse(unknown=ANY_TABLE)
    if status == 200:
        return _rows(found, scope)
    error = found.get("error")
    unknown = unknown_table(_told(error)) if status == 400 else ""
    if unknown:
        return QueryResponse(unknown=unknown)
    raise error_for(status, error, scope)


def unknown_table(text: str) -> str:
    """The table of Application Insights that the service says it does not know; "" if it is about anything else."""
    match = _UNKNOWN.search(text)
    name = (match[1] or match[2]) if match else ""
    return name if any(name in table[:2] for table in TABLES.values()) else ""


def error_for(status: int, error: object, scope: Scope) -> AmllogError:
    """What an answer without rows means for whoever asked."""
    told, codes = _told(error) or f"HTTP {status}", {code for code, _ in _chain(error)}
    if status == 401:
        return UsageError(
            f"{scope}: the token was not accepted ({told}): az login to the tenant that this belongs to, "
            "or give connect() another credential="
        )
    if status == 403:
        return UsageError(
            f"{scope}: no permission to read it ({told}): ask its owner for the role {_ROLE} "
            "(a new role may take an hour to be seen), and check the id"
        )
    if status == 404 or codes & {*_NO_SUCH}:
        return UsageError(f"{scope}: not found at {scope.endpoint} ({told}): check the id and the endpoint")
    if status in (400, 413):
        return UsageError(f"the service cannot answer this KQL: {told}")
    if status == 429:
        return ServiceError(f"the query service is throttling ({told}): ask again in some minutes")
    if status == 504:
        return ServiceError(
            f"the query took longer than the service lets it ({told}): ask for less time with last= or since=, "
            "or give connect() a greater server_timeout_seconds= (at most 600)"
        )
    return ServiceError(f"the query service answered {status}: {told}")


def missing_table_error(scope: Scope, name: str) -> UsageError:
    """What it means that a scope does not have a table that was asked for."""
    hint = _other_name(name, scope.dialects)
    return UsageError(
        f"{scope} has no table {'yet' if name == ANY_TABLE else name}: {hint}tables appear some minutes after the "
        "first record has arrived; check the id, and that an Application Insights resource keeps its data there"
    )


def _other_name(name: str, dialects: tuple[str, ...]) -> str:
    """What to say first where the table may have another name there."""
    for table in TABLES.values():
        if name == table.classic and WORKSPACE in dialects:
            return f"it may be {table.workspace} there; "
        if name == table.workspace and CLASSIC in dialects:
            return f"it may be {table.classic} there; "
    return ""


def _rows(found: Mapping[str, Any], scope: Scope) -> QueryResponse:
    tables = [table for table in found.get("tables") or () if isinstance(table, dict)]
    if not tables:
        raise ServiceError(f"the query service gave no readable answer; is {scope.endpoint} one?")
    table = next((one for one in tables if one.get("name") == "PrimaryResult"), tables[0])
    columns, error = table.get("columns") or (), found.get("error")
    cut = any(mark in json.dumps(error) for mark in _TOO_LARGE)
    return QueryResponse(
        tuple(str(column["name"]) for column in columns),
        tuple(str(column.get("type", "dynamic")) for column in columns),
        tuple(table.get("rows") or ()),
        _told(error),
        cut,
    )


def _told(error: object) -> str:
    """The innermost messages of an error; "" without one."""
    texts = [text for _, text in _chain(error) if text]
    return "; ".join(texts[-1:])


def _chain(error: object) -> Iterator[tuple[str, str]]:
    """Codes and messages from the outermost error to the innermost."""
    while isinstance(error, dict):
        yield str(error.get("code") or ""), str(error.get("message") or "")
        details = error.get("details")
        error = error.get("innererror") or (details[0] if isinstance(details, list) and details else None)


def _loaded(body: str) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
