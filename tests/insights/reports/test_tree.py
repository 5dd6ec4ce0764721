"""The tree of a run, built from the records that arrived."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from amllog.insights.query.cell_types import to_time
from amllog.insights.query.result import Column, Table
from amllog.insights.reports import tree

KINDS = ("request", "dependency", "trace", "customMetric", "exception")


def row(
    kind: str, id_: str = "", parent: str = "", message: str = "m", second: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a row of `records`."""
    known = {"timestamp": to_time(f"2026-11-22T10:00:{second:02d}Z"), "itemType": kind, "level": "INFO",
             "step_name": "train", "step_id": "s1", "message": message, "type": "", "duration_seconds": 1.0,
             "success": True, "resultCode": "0", "id": id_, "operation_Id": "o", "operation_ParentId": parent,
             "dimensions": {}, "value": 0.5, "step": None, "stack": ""}  # fmt: skip
    return {**known, **more}


def tree_of(*rows: dict[str, Any]) -> tree.Tree:
    """Return the tree of these rows."""
    return tree.build_tree(Table(tuple(map(Column, rows[0] if rows else ())), rows, notes=("2 lines torn",)))


def shape(nodes: tree.Tree) -> list[tuple[int, str]]:
    """Return the depth and message of every node."""
    return [(depth, node.row["message"] if node.row else "?") for depth, node in nodes.walk()]


def test_steps_spans_and_records() -> None:
    """Spans are in steps and records in spans, in time order, for any order of arrival."""
    nested = tree_of(
        row("trace", parent="inner", message="deep", second=3),
        row("dependency", "inner", "outer", "load", 2),
        row("dependency", "outer", "step", "fit", 1),
        row("request", "step", "pipeline", "train"),
        row("trace", parent="step", message="done", second=9),
    )
    assert shape(nested) == [(0, "train"), (1, "fit"), (2, "load"), (3, "deep"), (1, "done")]
    lines = nested.text.splitlines()
    assert lines[1] == "2026-11-22T10:00:01.000Z    span fit: done after 1.0 s"
    assert lines[-1] == "(2 lines torn)"
    assert [node["depth"] for node in json.loads(nested.to_json())] == [0, 1, 2, 3, 1]
    assert "<pre>" in nested._repr_html_()


def test_orphans_are_shown() -> None:
    """Records whose parent has not arrived are below one node for it."""
    nested = tree_of(
        row("trace", parent="gone", message="a"), row("dependency", "b", "gone", "b", 1), row("trace")
    )
    assert shape(nested) == [(0, "?"), (1, "a"), (1, "b"), (0, "m")]
    assert "in step train: a step or span that has not ended or not arrived (gone)" in nested.text


def test_metrics_share_a_line() -> None:
    """The metrics of one node are on one line."""
    nested = tree_of(
        row("request", "s"), *(row("customMetric", parent="s", message=name) for name in ("loss", "acc"))
    )
    assert nested.text.splitlines()[1].strip() == "metrics: loss=0.5, acc=0.5"


def test_ids_are_unique_within_their_operation() -> None:
    """The same id in another operation is another span."""
    nested = tree_of(
        row("request", "s", message="one"), row("trace", parent="s", operation_Id="p", message="two")
    )
    assert shape(nested) == [(0, "one"), (0, "?"), (1, "two")]


def test_cycles_are_cut() -> None:
    """Each span of a cycle is in the tree once."""
    ring = [row("dependency", id_, parent, id_) for id_, parent in (("a", "b"), ("b", "c"), ("c", "a"))]
    assert shape(tree_of(*ring)) == [(0, "a"), (1, "c"), (2, "b")]
    assert shape(tree_of(row("dependency", "a", "a", "self"))) == [(0, "self")]


def test_deep_trees() -> None:
    """A tree may be deeper than Python's stack."""
    nested = tree_of(*(row("dependency", str(n), str(n - 1)) for n in range(3000)))
    assert max(depth for depth, _node in nested.walk()) == 3000
    assert "(-1)" in nested.text


IDS = st.sampled_from(["", "a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(st.sampled_from(KINDS), IDS, IDS, st.integers(0, 59)), max_size=12))
def test_every_record_is_in_the_tree_once(rows: list[tuple[str, str, str, int]]) -> None:
    """Each record is in the tree once, below its parent, for any ids."""
    nested = tree_of(
        *(row(kind, id_, parent, str(n), second) for n, (kind, id_, parent, second) in enumerate(rows))
    )
    nodes = [node for _depth, node in nested.walk()]
    assert sorted(int(node.row["message"]) for node in nodes if node.row) == list(range(len(rows)))
    for node in nodes:
        parent = node.row["id"] if node.row else node.children[0].row["operation_ParentId"]
        assert {child.row["operation_ParentId"] for child in node.children} <= {parent}
    assert nested.text and json.loads(nested.to_json()) is not None


def test_a_long_tree_in_a_notebook() -> None:
    """A notebook shows the first thousand lines and the number of lines, and `text` has all."""
    nested = tree_of(*(row("trace", message=f"<{number}>", second=1) for number in range(1200)))
    shown = nested._repr_html_()
    assert shown.count("\n") == 999
    assert "&lt;999&gt;" in shown
    assert shown.endswith("<p>1201 lines, the first 1000 shown: .text has all</p>")
    assert nested.text.count("\n") == 1200


def test_the_text_of_a_deep_tree_is_limited() -> None:
    """A line is indented by at most a hundred levels, so that the text does not grow with the square of the depth."""
    nested = tree_of(*(row("dependency", f"s{number}", f"s{number - 1}") for number in range(3_000)))
    assert max(map(len, nested.text.splitlines())) < 300
    assert [depth for depth, _ in shape(nested)] == [*range(3_001)]  # the parent of the first has not arrived
