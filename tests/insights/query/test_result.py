"""Tables: their values, formats and types."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone

import pytest

from amllog.insights.query.result import Column, Table

WHEN = datetime(2026, 11, 22, 10, 0, 0, 123456, timezone.utc)


def table(*rows: tuple[object, ...]) -> Table:
    """Return a table with one column of each type."""
    columns = [Column(kind, kind) for kind in ("time", "text", "int", "real", "bool", "dimensions")]
    return Table.of(columns, rows)


def test_values_are_converted_to_their_types() -> None:
    """Strings are never None, and an invalid value is None."""
    (row,) = table(("?", None, "3", "NaN", "False", '{"a": 1, "b": null, "c": "x"}'))
    assert math.isnan(row.pop("real"))
    expected = {
        "time": None,
        "text": "",
        "int": 3,
        "bool": False,
        "dimensions": {"a": "1", "b": "", "c": "x"},
    }
    assert row == expected
    (empty,) = table((None, 5, "x", "y", "maybe", None))
    assert list(empty.values()) == [None, "5", None, None, None, {}]


def test_json_is_strict() -> None:
    """JSON has times with Z and names for NaN and infinities."""
    text = table((WHEN, "é", 1, float("inf"), None, {"a": "b"})).to_json()
    assert json.loads(text, parse_constant=pytest.fail)[0] == {
        "time": "2026-11-22T10:00:00.123456Z", "text": "é", "int": 1, "real": "Infinity", "bool": None,
        "dimensions": {"a": "b"},
    }  # fmt: skip


def test_pandas_and_arrow_have_types() -> None:
    """Whole numbers beside missing ones stay whole and times keep UTC, with and without rows."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    both = table((WHEN, "a", 1, 0.5, True, {"k": "v"}), (None, None, None, None, None, None))
    for each in (both, table()):
        frame = each.to_pandas()
        kinds = [str(kind) for kind in frame.dtypes[["time", "int"]]]
        assert kinds == ["datetime64[us, UTC]", "Int64"]
        arrow = each.to_arrow()
        assert [str(arrow.schema.field(name).type) for name in ("time", "int", "dimensions")] == [
            "timestamp[us, tz=UTC]", "int64", "map<string, string>",
        ]  # fmt: skip
    assert frame.empty and both.to_pandas()["time"][0] == WHEN


def test_long_tables_are_truncated() -> None:
    """A long table and a long cell are truncated with a mark, notes are shown, and HTML is escaped."""
    long = Table.of([Column("a", "text")], [("<b>" + "x" * 100,)] * 50, notes=("3 lines are torn",))
    for shown in (repr(long), long._repr_html_()):
        assert "50 rows, the first 40 shown" in shown and "…" in shown and "3 lines are torn" in shown
    assert "<b>" not in long._repr_html_()
    assert "…" not in repr(table((WHEN, "short", 1, 1.0, True, {})))


def test_a_count_is_a_number() -> None:
    """A table of one row and one column converts to its value."""
    assert int(Table.of([Column("records", "int")], [(7,)])) == 7
    with pytest.raises(ValueError, match="0 rows of 6 columns"):
        _ = table().value


def test_pivot() -> None:
    """A pivoted table has one row per step and one column per metric."""
    columns = [Column("step", "int"), Column("name", "text"), Column("value", "real")]
    series = Table.of(columns, [(1, "loss", 0.5), (1, "acc", 0.8), (2, "loss", 0.4)])
    wide = series.pivot("step", "name", "value")
    assert wide.to_dicts() == [{"step": 1, "loss": 0.5, "acc": 0.8}, {"step": 2, "loss": 0.4, "acc": None}]
    assert [column.type for column in wide.columns] == ["int", "real", "real"]


def test_an_empty_table_keeps_its_types() -> None:
    """A DataFrame without rows has the types of one with rows, so that both can be concatenated."""
    pytest.importorskip("pandas")
    columns = [Column("message", "text"), Column("value", "real"), Column("fine", "bool"), Column("n", "int")]
    none, some = (Table.of(columns, rows).to_pandas() for rows in ((), [("a", 1.5, True, 3)]))
    assert list(none.dtypes) == list(some.dtypes)
    unknown = Table.of(columns, [("a", None, True, None)]).to_pandas()
    assert list(unknown.dtypes) == list(some.dtypes)
