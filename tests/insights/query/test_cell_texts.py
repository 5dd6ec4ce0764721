"""One value on one line, as JSON, and for Arrow."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from amllog.insights.query.cell_texts import arrow_value, json_value, shown
from amllog.insights.query.result import Column, Table

TIME = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
SPAN = timedelta(days=1, hours=2, microseconds=5)


@pytest.mark.parametrize(
    ("value", "text", "as_json"),
    [
        (None, "", None),
        (TIME, "2026-11-22 10:00:00.000Z", "2026-11-22T10:00:00.000000Z"),
        (SPAN, "1.02:00:00.0000050", "1.02:00:00.0000050"),
        (-SPAN, "-1.02:00:00.0000050", "-1.02:00:00.0000050"),
        (float("nan"), "nan", "NaN"),
        ([1, "a"], '[1, "a"]', [1, "a"]),
        ({"a": 1}, "a=1", {"a": 1}),
        ("x" * 70, "x" * 59 + "…", "x" * 70),
    ],
)
def test_values(value: Any, text: str, as_json: Any) -> None:
    """A duration is written as the service writes it, and a list as JSON."""
    assert (shown(value), json_value(value)) == (text, as_json)


def test_other_formats() -> None:
    """Arrow and pandas have durations, and dynamic values as JSON or as they are."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    columns = [Column("span", "timespan"), Column("any", "dynamic")]
    table = Table.of(columns, [[SPAN, [1, "a"]], [None, None], [10, "text"]])
    assert table.to_arrow().to_pydict() == {
        "span": [SPAN, None, timedelta(microseconds=1)],
        "any": ['[1, "a"]', None, '"text"'],
    }
    frame = table.to_pandas()
    assert str(frame["span"].dtype) == "timedelta64[us]" and frame["any"][0] == [1, "a"]
    assert str(Table.of(columns, []).to_pandas()["span"].dtype) == "timedelta64[us]"
    assert arrow_value({"a": "b"}, "dimensions") == [("a", "b")]
