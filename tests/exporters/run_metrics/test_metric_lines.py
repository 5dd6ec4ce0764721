"""Journal lines for run history: their data and their decoding."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.exporters.run_metrics import metric_lines, metric_values
from amllog.record import envelope

CELL = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=400)


NAME = st.text(min_size=1, max_size=50)


@given(name=NAME, columns=st.dictionaries(NAME, CELL, min_size=1, max_size=15), rows=st.integers(1, 600))
def test_any_metric_is_strict_json(name: str, columns: dict[str, Any], rows: int) -> None:
    """Any metric of azureml becomes records of strict JSON within the limits, which decode to the same values."""
    types = dict.fromkeys(columns, "string")
    records = list(metric_lines.record_data(name, types, [columns] * rows, "azureml.v1.table", 7))
    assert sum(len(data["rows"]) for _, data in records) == rows
    for kind, data in records:
        content = json.dumps(data, ensure_ascii=False, allow_nan=False)
        assert kind == "table"
        assert len(content) <= metric_values.MAX_DATA and len(data["rows"]) <= metric_values.MAX_ROWS
        labels = {"run_metric": kind, "run_metric_data": content}
        encoded = envelope.encode_record(1.0, "", {}, "EventData", {"name": name, "properties": labels})
        post = metric_lines.decode_metric_line(encoded)
        assert isinstance(post, metric_lines.MetricPost)
        assert (post.columns, post.rows) == (data["columns"], data["rows"])
        assert (post.step, post.type) == (7, "azureml.v1.table")


def test_repeated_record_has_the_same_ids() -> None:
    """The ids of values depend on the record only, and differ from those of other records."""

    def ids(record_id: str) -> list[str]:
        post = metric_lines.MetricPost(
            None, "azureml.v1.list", "x", {"x": "int"}, [[1], [2]], "", None, record_id
        )
        return [value["metric_id"] for value in post.values()]

    assert ids("a") == ids("a")
    assert len({*ids("a"), *ids("b")}) == 4


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"data":', b'{"time":"","data":{"baseData":{"properties":{}}}}', b"[]"]
)
def test_unreadable_line(line: bytes) -> None:
    """A line that is not a run metric decodes to None."""
    assert metric_lines.decode_metric_line(line) is None


def test_each_error_rejects_one_post() -> None:
    """Each error that names a metric by id or by name rejects exactly one post."""
    posts = [
        metric_lines.MetricPost(
            None, "azureml.v1.scalar", name, {name: "double"}, [[value]], "", None, str(index)
        )
        for index, (name, value) in enumerate([("a", 1.0), ("b", 2.0), ("a", "NaN"), ("a", 3.0)])
    ]
    response = {"error": {"code": "UserError", "message": 'Metric "a" has 51 names'}}
    by_id = {
        "metric": {"name": "a", "value": [{"metricId": posts[3].values()[0]["metric_id"]}]},
        "errorResponse": response,
    }
    by_name = {"metric": {"name": "a"}, "errorResponse": response}
    assert metric_lines.rejected_posts(posts, [by_id, by_name]) == dict.fromkeys(
        (3, 2), "run history: Metric … has … names"
    )
    assert metric_lines.rejected_posts(posts, [{"metric": {"name": "unknown"}}]) == {}


DATA = st.recursive(CELL, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


MEMBERS = st.sampled_from(
    ["columns", "rows", "step", "type", "file", "tags", "artifact", "name", "value", "child"]
)


METHODS = st.sampled_from(["upload_file", "set_tags", "child_run", "fail", "display_name", "surprise", ""])


@given(
    kind=st.sampled_from(["call", "list", "scalar"]) | DATA,
    method=METHODS,
    data=DATA | st.dictionaries(MEMBERS, DATA),
    labels=st.dictionaries(st.sampled_from(["run_id", "step_id", "record_id", "step"]), DATA),
)
def test_any_line_is_decoded_or_rejected(kind: Any, method: str, data: Any, labels: dict[str, Any]) -> None:
    """No line raises an error, and decoded data has the types that the exporters need."""
    properties = {"run_metric": kind, "run_metric_data": json.dumps(data), **labels}
    record = {
        "time": "2026-01-01T00:00:00.000000Z",
        "data": {"baseData": {"name": f"run.{method}", "properties": properties}},
    }
    entry = metric_lines.decode_metric_line(json.dumps(record).encode())
    if isinstance(entry, metric_lines.MetricPost):
        assert all(len(row) == len(entry.columns) for row in entry.rows)
        assert len(entry.values()) == len(entry.rows)
    elif entry is not None:
        assert isinstance(entry.data, dict)
        assert (entry.file is not None) == (method == "upload_file")
