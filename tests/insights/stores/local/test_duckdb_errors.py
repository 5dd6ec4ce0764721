"""Errors of DuckDB in words of KQL."""

from __future__ import annotations

import pytest

from amllog.insights.stores.local.duckdb_errors import ValueOutOfRange, explain


def error(kind: str, text: str) -> Exception:
    """Return an exception as DuckDB raises it."""
    return type(kind, (Exception,), {})(text)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (error("InvalidInputException", "Invalid Input Error: kql: our own reason"), "our own reason"),
        (
            error("InvalidInputException", "... UDF: UsageError: a string of more than 9 bytes"),
            "a string of more than",
        ),
        (
            error("InvalidInputException", "Invalid Input Error: missing ): ("),
            "a regular expression is invalid",
        ),
        (error("InvalidInputException", "other"), "an internal fault with it: please report it"),
        (error("OutOfRangeException", "Overflow in addition of INT64"), "a number does not fit into 64 bits"),
        (error("ConversionException", "Could not convert"), "out of the range of its type"),
        (error("OutOfMemoryException", "failed to allocate"), "too little memory"),
        (error("BinderException", "subqueries in lambda expressions"), "a query in place of an argument"),
        (error("IOException", "IO Error: Cannot open file x\nmore"), "the journals cannot be read: IO Error"),
        (ValueOutOfRange("10000-01-01"), "a time is before the year 1 or after 9999"),
    ],
)
def test_explanations(raised: Exception, message: str) -> None:
    """Each error has one line, and no words of SQL."""
    text = explain(raised)
    assert message in text and "\n" not in text and "INT64" not in text
