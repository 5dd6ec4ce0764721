"""Parse the responses and errors of the query service, without I/O.

The result is a `QueryResponse`, or an exception that contains the cause and the remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from amllog.errors import AmllogError, ServiceError, UsageError
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.service.scope import CLASSIC, WORKSPACE, Scope
from amllog.record.error_cause import cause

DISCONNECTED = 0  # instead of a status, if there is no complete response
# Statuses after which the request is sent again. Not 504, which means that the query takes too long.
RETRYABLE = (429, 500, 502, 503, DISCONNECTED)
ANY_TABLE = "*"  # the scope has no tables at all
_TOO_LARGE = ("E_QUERY_RESULT_SET_TOO_LARGE", "0x80DA0003", "-2133196797")
_UNKNOWN_TABLE = re.compile(
    r"""(?:table or column expression named|resolve table)[^'"]*['"](\w+)"""
    r"""|name '(\w+)' does not refer to any known table""",
    re.IGNORECASE,
)
_NOT_FOUND_CODES = (
    "WorkspaceNotFoundError",
    "PathNotFoundError",
    "ResourceNotFoundError",
    "ApplicationNotFoundError",
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TEXT_MAX = 200
_ROLE = "Monitoring Reader or Log Analytics Reader"


class QueryResponse(NamedTuple):
    """The rows of a response in the order of its columns, as JSON values. `types` are Kusto's.

    `incomplete_reason`: why rows are missing. `is_truncated`: they are missing because of their number or size.
    `unknown_table`: a table that the scope does not have. Then there are no rows.
    """

    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: tuple[list[Any], ...] = ()
    incomplete_reason: str = ""
    is_truncated: bool = False
    unknown_table: str = ""


def parse_response(status: int, body: str, scope: Scope) -> QueryResponse:
    """Return the rows of a response, or its unknown table. Raises the exception of any other error."""
    content = _decode_json(body)
    if status == 204:  # a workspace without any table
        return QueryResponse(unknown_table=ANY_TABLE)
    if status == 200:
        return _rows(content, scope)
    error = _error_of(content)
    if error is None and _foreign_text(body):
        raise not_from_service(status, body)
    unknown_table = find_unknown_table(_message(error)) if status == 400 else ""
    if unknown_table:
        return QueryResponse(unknown_table=unknown_table)
    raise error_for(status, error, scope)


def message_of(body: str) -> str:
    """Return the message in the body of an error, also of one that another server sent. "" without one."""
    return _message(_error_of(_decode_json(body))) or _foreign_text(body)


def not_from_service(status: int, body: str) -> ServiceError:
    """Return the exception for a response of something else, such as a proxy."""
    return ServiceError(
        f"the response is not that of the query service (HTTP {status}: {message_of(body)}): "
        "check the proxy and the endpoint"
    )


def _foreign_text(body: str) -> str:
    """Return the title or the beginning of a body that is not JSON, on one line. "" for JSON and an empty body."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        title = _TITLE.search(body)
        return cause(_TAG.sub(" ", title[1] if title else body))[:_TEXT_MAX]
    return ""


def _error_of(content: Mapping[str, Any]) -> Any:
    """Return the error of a response as an object, also that of an OAuth server (RFC 6749, section 5.2)."""
    error = content.get("error")
    if isinstance(error, str):
        return {"code": error, "message": content.get("error_description")}
    if isinstance(error, dict) and content.get("correlationId"):
        return {**error, "correlationId": content["correlationId"]}
    return error


def find_unknown_table(message: str) -> str:
    """Return the Application Insights table that is unknown according to an error message, or ""."""
    match = _UNKNOWN_TABLE.search(message)
    name = (match[1] or match[2]) if match else ""
    return name if any(name in table[:2] for table in TABLES.values()) else ""


def error_for(status: int, error: object, scope: Scope) -> AmllogError:
    """Return the exception for a response without rows."""
    message, codes = _message(error) or f"HTTP {status}", {code for code, _ in _nested_errors(error)}
    if status == 401:
        return UsageError(
            f"{scope}: the token was not accepted ({message}): run az login for the tenant of the resource, "
            "or pass another credential= to connect()"
        )
    if status == 403:
        return UsageError(
            f"{scope}: no permission to read it ({message}): ask its owner for the role {_ROLE} "
            "(a new role can take an hour to become effective), and check the id"
        )
    if status == 404 or codes & {*_NOT_FOUND_CODES}:
        return UsageError(
            f"{scope}: not found at {scope.endpoint} ({message}): check the id and the endpoint"
        )
    if status in (400, 413):
        return UsageError(f"the service cannot answer this KQL: {message}")
    if status == 429:
        return ServiceError(f"the query service is throttling ({message}): try again in some minutes")
    if status == 504:
        return ServiceError(
            f"the query took longer than the service allows ({message}): use a shorter time range with last= or "
            "since=, or a larger server_timeout_seconds= (at most 600) in connect()"
        )
    return ServiceError(f"the query service returned HTTP {status}: {message}")


def missing_table_error(scope: Scope, name: str) -> UsageError:
    """Return the exception for a table that the scope does not have."""
    hint = _other_dialect_hint(name, scope.dialects)
    return UsageError(
        f"{scope} has no table {'yet' if name == ANY_TABLE else name}: {hint}tables appear some minutes after the "
        "first record has arrived. Check the id, and that an Application Insights resource stores its data there"
    )


def _other_dialect_hint(name: str, dialects: tuple[str, ...]) -> str:
    """Return the start of a sentence if the table may have another name in the scope, or ""."""
    for table in TABLES.values():
        if name == table.classic and WORKSPACE in dialects:
            return f"it may be {table.workspace} there, and "
        if name == table.workspace and CLASSIC in dialects:
            return f"it may be {table.classic} there, and "
    return ""


def _rows(content: Mapping[str, Any], scope: Scope) -> QueryResponse:
    tables = [table for table in content.get("tables") or () if isinstance(table, dict)]
    if not tables:
        raise ServiceError(
            f"the response is not that of a query service: check the endpoint {scope.endpoint}"
        )
    table = next((table for table in tables if table.get("name") == "PrimaryResult"), tables[0])
    columns, error = table.get("columns") or (), content.get("error")
    return QueryResponse(
        tuple(str(column["name"]) for column in columns),
        tuple(str(column.get("type", "dynamic")) for column in columns),
        tuple(table.get("rows") or ()),
        next((message for _, message in reversed([*_nested_errors(error)]) if message), ""),
        any(mark in json.dumps(error) for mark in _TOO_LARGE),
    )


def _message(error: object) -> str:
    """Return the message of the innermost error with its code and the correlation id, or "" without one."""
    errors = [(code, cause(message)) for code, message in _nested_errors(error) if message]
    if not errors:
        return ""
    code, message = errors[-1]
    # The names of others repeat the message: InsufficientAccessError.
    notes = [code] if re.search(r"\d", code) and code not in message else []
    correlation = error.get("correlationId") if isinstance(error, dict) else None
    notes += [f"correlation id {correlation}"] if correlation else []
    return f"{message.rstrip('.')} ({', '.join(notes)})" if notes else message


def _nested_errors(error: object) -> Iterator[tuple[str, str]]:
    """Yield codes and messages from the outermost error to the innermost one."""
    while isinstance(error, dict):
        yield str(error.get("code") or ""), str(error.get("message") or "")
        details = error.get("details")
        error = error.get("innererror") or (details[0] if isinstance(details, list) and details else None)


def _decode_json(body: str) -> dict[str, Any]:
    try:
        content = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
