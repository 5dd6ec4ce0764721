"""Responses and errors of the query service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amllog.errors import AmllogError, ServiceError, UsageError
from amllog.insights import connect
from amllog.insights.query.tables import TABLES
from amllog.insights.stores.service.responses import ANY_TABLE, find_unknown_table, parse_response
from amllog.insights.stores.service.scope import parse_scope
from amllog.local import AzureOnThisMachine, Fault

from .conftest import COMPONENT, error_body, paged_questions, unknown_table_body  # isort: skip


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ({"status": 401, "body": error_body("InvalidTokenError", "expired")}, UsageError, "az login"),
        (
            {"status": 403, "body": error_body("InsufficientAccessError", "no access")},
            UsageError,
            "no permission to read it (no access): ask its owner for the role Monitoring Reader or Log",
        ),
        ({"status": 404, "body": error_body("PathNotFoundError", "nothing")}, UsageError, "check the id"),
        ({"status": 400, "body": error_body("WorkspaceNotFoundError", "no")}, UsageError, "check the id"),
        (
            {"status": 400, "body": unknown_table_body("nonsense")},
            UsageError,
            "cannot answer this KQL: 'union'",
        ),
        ({"status": 413}, UsageError, "cannot answer this KQL"),
        ({"status": 504, "body": "<html>"}, ServiceError, "server_timeout_seconds= (at most 600)"),
        ({"status": 418}, ServiceError, "returned HTTP 418"),
        ({"body": "<html>"}, ServiceError, "check the endpoint http://127.0.0.1"),
        ({"body": "[]"}, ServiceError, "not that of a query service"),
        ({"body": ""}, ServiceError, "not that of a query service"),
        ({"status": 500}, ServiceError, "HTTP 500, 6 attempts"),
        ({"close": True}, ServiceError, "disconnected, 6 attempts"),
        ({"status": 204, "body": ""}, UsageError, "has no table yet"),
    ],
)
def test_errors_contain_advice(
    local_azure: Callable[..., AzureOnThisMachine],
    fault: dict[str, Any],
    kind: type[AmllogError],
    message: str,
) -> None:
    """Each error response raises an error of amllog with advice."""
    azure = local_azure()
    azure.faults.put(Fault(service="query", **fault))
    with pytest.raises(kind) as caught:
        paged_questions(azure).logs()
    assert message in str(caught.value)


def test_an_unknown_workspace_is_named(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The error names the workspace and the address."""
    azure = local_azure()
    with pytest.raises(
        UsageError, match=r"workspace_id='0{8}.*ff': not found at http://127\.0\.0\.1.*check the id"
    ):
        connect(workspace_id="00000000-0000-0000-0000-0000000000ff", endpoint=azure.query_endpoint).logs()


def test_responses_are_parsed_without_io() -> None:
    """Rows, types and the reason of a partial response are values, and an empty workspace has no tables."""
    scope = parse_scope("resource_id", COMPONENT)
    columns = '[{"name": "n", "type": "long"}, {"name": "d"}]'
    body = '{"tables": [{"name": "PrimaryResult", "columns": %s, "rows": [[1, 2]]}], "error": %s}'
    response = parse_response(200, body % (columns, '{"code": "P", "message": "partial"}'), scope)
    assert (response.names, response.types, response.rows) == (("n", "d"), ("long", "dynamic"), ([1, 2],))
    assert (response.incomplete_reason, response.is_truncated) == ("partial", False)
    too_large = (
        '{"message": "m", "details": [{"code": "E_QUERY_RESULT_SET_TOO_LARGE", "message": "too many"}]}'
    )
    assert parse_response(200, body % (columns, too_large), scope).is_truncated
    assert parse_response(204, "", scope).unknown_table == ANY_TABLE


@pytest.mark.parametrize("table", TABLES.values())
def test_unknown_tables_are_found_in_messages(table: Any) -> None:
    """The names of both dialects are found, and other names are not tables."""
    for name in table[:2]:
        assert find_unknown_table(f"Failed to resolve table or column expression named '{name}'") == name
    assert find_unknown_table("Failed to resolve table or column expression named 'colour'") == ""


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (403, "<html><head><title>Blocked by\n ACME proxy</title></head><body>x</body></html>",
         "not that of the query service (HTTP 403: Blocked by ACME proxy): check the proxy"),
        (407, "authenticate <b>first</b>", "(HTTP 407: authenticate first)"),
        (200, "<html>login</html>", "not that of a query service"),
        (401, '{"error": "invalid_grant", "error_description": "AADSTS50173: The grant has expired. Trace ID: 1"}',
         "AADSTS50173: The grant has expired."),
        (400, '{"error": {"message": "m", "innererror": {"code": "SYN0002", "message": "a syntax error."}}}',
         "a syntax error (SYN0002)"),
        (403, '{"error": {"message": "no", "code": "X"}, "correlationId": "7d2c"}', "(no (correlation id 7d2c))"),
    ],
)  # fmt: skip
def test_errors_keep_their_cause(status: int, body: str, message: str) -> None:
    """The code, the correlation id, the message of Microsoft Entra ID and the title of a proxy's page are kept."""
    with pytest.raises(AmllogError) as raised:
        parse_response(status, body, parse_scope("resource_id", COMPONENT))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
