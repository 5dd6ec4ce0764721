"""The responses and errors of the query service."""

from __future__ import annotations

from datetime import datetime, timezone

from amllog.errors import UsageError
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, unknown_table
from amllog.local.app_insights.query_response import ResponseLimits, build_response, error_response

NOW = datetime(2026, 11, 23, 1, 0, 0, 123456, tzinfo=timezone.utc)


def test_values_have_the_format_of_the_service() -> None:
    """Strings are never null, times are UTC with seven digits, and time spans, NaN and infinities are strings."""
    values = [
        ("string", None, ""), ("long", None, None), ("real", float("nan"), "NaN"), ("real", float("-inf"), "-Infinity"),
        ("bool", True, True), ("datetime", NOW.replace(tzinfo=None), "2026-11-23T01:00:00.1234560Z"),
        ("datetime", NOW.replace(microsecond=0), "2026-11-23T01:00:00Z"),
        ("timespan", 864_610_000_000, "1.00:01:01"), ("timespan", -51, "-00:00:00.0000051"),
        ("dynamic", ["a"], '["a"]'), ("dynamic", {"a": 1}, '{"a":1}'), ("dynamic", "a", "a"), ("dynamic", 1.5, 1.5),
        ("guid", "74be27de-1e4e-49d9-b579-fe0b331d3642", "74be27de-1e4e-49d9-b579-fe0b331d3642"),
    ]  # fmt: skip
    names, types, row = [str(n) for n in range(len(values))], [v[0] for v in values], [v[1] for v in values]
    (table,) = build_response(names, types, [row], ResponseLimits())["tables"]
    assert [column["type"] for column in table["columns"]] == types
    assert table["rows"] == [[v[2] for v in values]]


def test_the_limit_of_bytes() -> None:
    """The response has the rows that fit, and an error that reports the limit."""
    response = build_response(["a"], ["string"], [["x" * 40]] * 5, ResponseLimits(bytes=100))
    assert len(response["tables"][0]["rows"]) == 2
    assert "100 bytes" in response["error"]["details"][0]["innererror"]["message"]


def test_errors_have_the_codes_of_the_service() -> None:
    """Unsupported KQL is a 501, and any other error of the engine is a 400 with the service's own message."""

    def response(cause: Exception | None) -> tuple[int, str]:
        error = UsageError("our message")
        error.__cause__ = cause
        status, body = error_response(error)
        return status, body["error"].get("innererror", {}).get("innererror", body["error"])["message"]

    assert response(UnsupportedKql("the function foo()")) == (501, "Not in the local Azure: our message")
    assert response(None) == (400, "our message")
    assert response(InvalidKql("invalid")) == (400, "invalid")
    unknown = "Failed to resolve table or column expression named 'x'"
    assert response(unknown_table("x")) == (400, unknown)
