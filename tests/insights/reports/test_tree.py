"""The operation tree, from nothing but what arrived."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from amllog.insights.query.cell_types import to_time
from amllog.insights.query.result import Column, Table
from amllog.insights.reports import tree

KINDS = ("request", "dependency", "trace", "customMetric", "exception")


def row(
    kind: str, own: str = "", parent: str = "", message: str = "m", second: int = 0, **more: Any
) -> dict[str, Any]:
    """A row of `records`."""
    known = {"timestamp": to_time(f"2026-11-22T10:00:{second:02d}Z"), "itemType": kind, "level": "INFO",
             "step_name": "train", "step_id": "s1", "message": message, "type": "", "duration_seconds": 1.0,
             "success": True, "resultCode": "0", "id": own, "operation_Id": "o", "operation_ParentId": parent,
             "dimensions": {}, "value": 0.5, "step": None, "stack": ""}  # fmt: skip
    return {**known, **more}


def of(*rows: dict[str, Any]) -> tree.Tree:
    """The tree of these rows."""
    return tree.build_tree(Table(tuple(map(Column, rows[0] if rows else ())), rows, notes=("2 lines torn",)))


def shape(found: tree.Tree) -> list[tuple[int, str]]:
    """Depth and message of every node."""
    return [(depth, node.row["message"] if node.row else "?") for depth, node in found.walk()]


def test_what_lies_within_what() -> None:
    """Steps, in them spans, in these what was said; in time order whatever order they came in."""
    found = of(
        row("trace", parent="inner", message="deep", second=3),
        row("dependency", "inner", "outer", "load", 2),
        row("dependency", "outer", "step", "fit", 1),
        row("request", "step", "pipeline", "train"),
        row("trace", parent="step", message="done", second=9),
    )
    assert shape(found) == [(0, "train"), (1, "fit"), (2, "load"), (3, "deep"), (1, "done")]
    lines = found.text.splitlines()
    assert lines[1] == "2026-11-22T10:00:01.000Z    span fit: done after 1.0 s"
    assert lines[-1] == "(2 lines torn)"
    assert [one["depth"] for one in json.loads(found.to_json())] == [0, 1, 2, 3, 1]
    assert "<pre>" in found._repr_html_()


def test_orphans_are_shown() -> None:
    """What lies in something that has not arrived stands below a line that says so; one line for all of it."""
    found = of(row("trace", parent="gone", message="a"), row("dependency", "b", "gone", "b", 1), row("trace"))
    assert shape(found) == [(0, "?"), (1, "a"), (1, "b"), (0, "m")]
    assert "in step train: a step or span that has not ended or not arrived (gone)" in found.text


def test_metrics_stand_together() -> None:
    """The metrics of one node on one line."""
    found = of(
        row("request", "s"), *(row("customMetric", parent="s", message=name) for name in ("loss", "acc"))
    )
    assert found.text.splitlines()[1].strip() == "metrics: loss=0.5, acc=0.5"


def test_ids_count_within_their_operation() -> None:
    """The same id in another operation is another span."""
    found = of(row("request", "s", message="one"), row("trace", parent="s", operation_Id="p", message="two"))
    assert shape(found) == [(0, "one"), (0, "?"), (1, "two")]


def test_cycles_are_cut() -> None:
    """A span in itself, and three in a ring: each is there once."""
    ring = [row("dependency", own, parent, own) for own, parent in (("a", "b"), ("b", "c"), ("c", "a"))]
    assert shape(of(*ring)) == [(0, "a"), (1, "c"), (2, "b")]
    assert shape(of(row("dependency", "a", "a", "self"))) == [(0, "self")]


def test_deep_trees() -> None:
    """Deeper than Python's stack."""
    found = of(*(row("dependency", str(n), str(n - 1)) for n in range(3000)))
    assert max(depth for depth, _node in found.walk()) == 3000
    assert "(-1)" in found.text


IDS = st.sampled_from(["", "a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(st.sampled_from(KINDS), IDS, IDS, st.integers(0, 59)), max_size=12))
def test_every_record_stands_there_once(rows: list[tuple[str, str, str, int]]) -> None:
    """Whatever the ids: none lost, none twice, and a child below its parent."""
    found = of(*(row(kind, own, up, str(n), at) for n, (kind, own, up, at) in enumerate(rows)))
    nodes = [node for _depth, node in found.walk()]
    assert sorted(int(node.row["message"]) for node in nodes if node.row) == list(range(len(rows)))
    for node in nodes:
        above = node.row["id"] if node.row else node.children[0].row["operation_ParentId"]
        assert {child.row["operation_ParentId"] for child in node.children} <= {above}
    assert found.text and json.loads(found.to_json()) is not None


def test_a_long_tree_in_a_notebook() -> None:
    """A browser gets the first thousand lines and how many there are; `text` has all."""
    found = of(*(row("trace", message=f"<{number}>", second=1) for number in range(1200)))
    shown = found._repr_html_()
    assert shown.count("\n") == 999
    assert "&lt;999&gt;" in shown
    assert shown.endswith("<p>1201 lines, the first 1000 shown: .text has all</p>")
    assert found.text.count("\n") == 1200


def test_the_text_of_a_deep_tree_is_limited() -> None:
    """Each line is indented by a hundred levels at most: the text grows with the number of spans, not its square."""
    found = of(*(row("dependency", f"s{one}", f"s{one - 1}") for one in range(3_000)))
    assert max(map(len, found.text.splitlines())) < 300
    assert [depth for depth, _ in shape(found)] == [
        *range(3_001)
    ]  # the first lies in one that has not arrived
