"""The responses and errors of the query service."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from amllog.local.app_insights.query_response import ResponseLimits, build_response, error_response

NOW = datetime(2026, 11, 23, 1, 0, 0, 123456, tzinfo=timezone.utc)


def test_values_have_the_format_of_the_service() -> None:
    """Strings are never null, times are UTC with seven digits, and time spans, NaN and infinities are strings."""
    values = [
        ("VARCHAR", None, "string", ""), ("BIGINT", None, "long", None), ("DOUBLE", float("nan"), "real", "NaN"),
        ("DOUBLE", float("-inf"), "real", "-Infinity"), ("BOOLEAN", True, "bool", True),
        ("TIMESTAMP", NOW.replace(tzinfo=None), "datetime", "2026-11-23T01:00:00.1234560Z"),
        ("TIMESTAMP WITH TIME ZONE", NOW.replace(microsecond=0), "datetime", "2026-11-23T01:00:00Z"),
        ("DATE", NOW.date(), "datetime", "2026-11-23T00:00:00Z"),
        ("INTERVAL", timedelta(days=1, seconds=61), "timespan", "1.00:01:01"),
        ("INTERVAL", timedelta(microseconds=-5), "timespan", "-00:00:00.0000050"),
        ("VARCHAR[]", ["a"], "dynamic", '["a"]'), ("JSON", '{"a":1}', "dynamic", '{"a":1}'),
        ("DECIMAL(18,3)", 1.5, "decimal", "1.5"),
    ]  # fmt: skip
    names, types, row = [str(n) for n in range(len(values))], [v[0] for v in values], [v[1] for v in values]
    (table,) = build_response(names, types, [row], ResponseLimits())["tables"]
    assert [column["type"] for column in table["columns"]] == [v[2] for v in values]
    assert table["rows"] == [[v[3] for v in values]]


def test_the_limit_of_bytes() -> None:
    """The response has the rows that fit, and an error that reports the limit."""
    response = build_response(["a"], ["VARCHAR"], [["x" * 40]] * 5, ResponseLimits(bytes=100))
    assert len(response["tables"][0]["rows"]) == 2
    assert "100 bytes" in response["error"]["details"][0]["innererror"]["message"]


def test_unsupported_kql() -> None:
    """KQL that duckdb-kql does not support is a 501, and any other error of the engine is a 400."""
    assert error_response("unsupported KQL construct 'function:foo'")[0] == 501
    status, body = error_response("another error")
    assert (status, body["error"]["innererror"]["innererror"]["message"]) == (400, "another error")
