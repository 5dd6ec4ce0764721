"""The tree of steps, spans and records of a run, built from the records that arrived.

A record is a child of the span or step whose `id` is its `operation_ParentId`. If that has not arrived, or not yet, a
node without a row takes its place. Cycles are cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from amllog.insights.query.result import Row, Table, preformatted_html
from amllog.insights.reports import rendering
from amllog.record.text import escape_controls

STEPS_AND_SPANS = ("request", "dependency")
MAX_INDENT = 100  # levels. Without a limit, the text of a deep tree grows with the square of its depth.


@dataclass
class Node:
    """A record and its children. `row` is None for a span or step that has not arrived. `said` is its label."""

    row: Row | None
    said: str = ""
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Tree:
    """The roots in time order, which are steps and nodes without a row."""

    roots: tuple[Node, ...]
    notes: tuple[str, ...] = ()

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Yield every node with its depth, from top to bottom."""
        pending = [(0, node) for node in reversed(self.roots)]
        while pending:
            depth, node = pending.pop()
            yield depth, node
            pending += [(depth + 1, child) for child in reversed(node.children)]

    @property
    def text(self) -> str:
        """One indented line per node. Metrics with the same parent share a line."""
        lines = list(_lines(self))
        return "\n".join([*lines, *(f"({note})" for note in self.notes)])

    def to_json(self, *, indent: int | None = None) -> str:
        """Return every node as an object with its depth, in the order of `walk`."""
        nodes = [
            {"depth": depth, "said": _label(node), **({} if node.row is None else _json_row(node.row))}
            for depth, node in self.walk()
        ]
        return json.dumps(nodes, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return the tree for notebooks."""
        return preformatted_html(self.text)


def build_tree(table: Table) -> Tree:
    """Return the tree of all rows of a table."""
    rows = sorted(table.rows, key=lambda row: (row["timestamp"], row["itemType"] not in STEPS_AND_SPANS))
    nodes = [Node(row, rendering.summary(row)) for row in rows]
    known: dict[tuple[str, str], int] = {}
    for index, row in enumerate(rows):
        if row["itemType"] in STEPS_AND_SPANS and row["id"]:
            known.setdefault((row["operation_Id"], row["id"]), index)
    parents = [known.get((row["operation_Id"], row["operation_ParentId"])) for row in rows]
    _cut_cycles(parents)
    roots: list[Node] = []
    absent: dict[tuple[str, str], Node] = {}
    for index, row in enumerate(rows):
        parent = parents[index]
        if parent is not None:
            nodes[parent].children.append(nodes[index])
            continue
        key = (row["operation_Id"], row["operation_ParentId"])
        if row["itemType"] == "request" or not key[1] or key in known:  # a cycle was cut at a known parent
            roots.append(nodes[index])
        else:
            if key not in absent:
                absent[key] = Node(None, _absent(row))
                roots.append(absent[key])
            absent[key].children.append(nodes[index])
    return Tree(tuple(roots), table.notes)


def _cut_cycles(parents: list[int | None]) -> None:
    """Remove the parent of one row in each cycle of `parents`."""
    settled: set[int] = set()
    for start in range(len(parents)):
        path: list[int] = []
        on_path: set[int] = set()
        index: int | None = start
        while index is not None and index not in settled:
            if index in on_path:
                parents[index] = None
                break
            path.append(index)
            on_path.add(index)
            index = parents[index]
        settled.update(path)


def _absent(row: Row) -> str:
    """Return the label for the missing parent of a row. A step or a span arrives when it ends."""
    step = escape_controls(row["step_name"] or row["step_id"])
    inside = f"in step {step}: " if step else ""
    return f"{inside}a step or span that has not ended or not arrived ({escape_controls(row['operation_ParentId'])})"


def _lines(tree: Tree) -> Iterator[str]:
    metrics: list[str] = []
    level = 0
    for depth, node in tree.walk():
        if node.row is not None and node.row["itemType"] == "customMetric" and not node.children:
            if metrics and depth != level:
                yield _metrics_line(level, metrics)
                metrics = []
            metrics.append(
                f"{escape_controls(node.row['message'])}={rendering.format_number(node.row.get('value'))}"
            )
            level = depth
            continue
        if metrics:
            yield _metrics_line(level, metrics)
            metrics = []
        yield _line(depth, node)
    if metrics:
        yield _metrics_line(level, metrics)


def _indent(depth: int) -> str:
    return "  " * min(depth, MAX_INDENT)


def _metrics_line(depth: int, metrics: Sequence[str]) -> str:
    return f"{' ' * 24}  {_indent(depth)}metrics: {', '.join(metrics)}"


def _line(depth: int, node: Node) -> str:
    time = rendering.format_time(node.row["timestamp"] if node.row else None)
    return f"{time:<24}  {_indent(depth)}{_label(node)}"


def _label(node: Node) -> str:
    if node.row is None or node.row["itemType"] in STEPS_AND_SPANS:
        return node.said
    level = node.row.get("level", "")
    return f"{level} {node.said}" if level in ("WARNING", "ERROR", "CRITICAL") else node.said


def _json_row(row: Row) -> dict[str, Any]:
    names = ("itemType", "level", "step_name", "message", "id", "operation_ParentId", "operation_Id")
    return {"timestamp": row["timestamp"].isoformat(), **{name: row[name] for name in names}}
