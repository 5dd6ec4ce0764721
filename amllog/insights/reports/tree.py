"""The operation tree of a run: what lies within what, from nothing but what arrived.

In: rows with operation_Id, id and operation_ParentId. Out: a `Tree`: steps, in them their spans, in these what was
said. What lies in something that has not arrived (yet) is shown below a node that says so; cycles are cut.
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
MAX_INDENT = 100  # levels that are indented


@dataclass
class Node:
    """A record and what lies within it; `row` is None for something that has not arrived."""

    row: Row | None
    said: str = ""
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Tree:
    """`roots` in time order: steps first of all, and nodes for what has not arrived."""

    roots: tuple[Node, ...]
    notes: tuple[str, ...] = ()

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, from the top to the bottom."""
        waiting = [(0, node) for node in reversed(self.roots)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, child) for child in reversed(node.children)]

    @property
    def text(self) -> str:
        """One line per node, indented; the metrics of one node together."""
        lines = list(_lines(self))
        return "\n".join([*lines, *(f"({note})" for note in self.notes)])

    def to_json(self, *, indent: int | None = None) -> str:
        """Every node as an object with its depth, in the order of `walk`."""
        found = [
            {"depth": depth, "said": _said(node), **({} if node.row is None else _brief(node.row))}
            for depth, node in self.walk()
        ]
        return json.dumps(found, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return preformatted_html(self.text)


def build_tree(table: Table) -> Tree:
    """The tree of all rows of a table."""
    rows = sorted(table.rows, key=lambda row: (row["timestamp"], row["itemType"] not in STEPS_AND_SPANS))
    nodes = [Node(row, rendering.summary(row)) for row in rows]
    known: dict[tuple[str, str], int] = {}
    for at, row in enumerate(rows):
        if row["itemType"] in STEPS_AND_SPANS and row["id"]:
            known.setdefault((row["operation_Id"], row["id"]), at)
    parents = [known.get((row["operation_Id"], row["operation_ParentId"])) for row in rows]
    _cut_cycles(parents)
    roots: list[Node] = []
    absent: dict[tuple[str, str], Node] = {}
    for at, row in enumerate(rows):
        above = parents[at]
        if above is not None:
            nodes[above].children.append(nodes[at])
            continue
        key = (row["operation_Id"], row["operation_ParentId"])
        if row["itemType"] == "request" or not key[1] or key in known:  # known: a cycle was cut here
            roots.append(nodes[at])
        else:
            if key not in absent:
                absent[key] = Node(None, _absent(row))
                roots.append(absent[key])
            absent[key].children.append(nodes[at])
    return Tree(tuple(roots), table.notes)


def _cut_cycles(parents: list[int | None]) -> None:
    """Where a way up comes back to itself, the row at which it does has no parent any more."""
    settled: set[int] = set()
    for start in range(len(parents)):
        way: list[int] = []
        on_way: set[int] = set()
        at: int | None = start
        while at is not None and at not in settled:
            if at in on_way:
                parents[at] = None
                break
            way.append(at)
            on_way.add(at)
            at = parents[at]
        settled.update(way)


def _absent(row: Row) -> str:
    """What is known of a step or span that has not arrived: a step's request and a span come when they end."""
    step = escape_controls(row["step_name"] or row["step_id"])
    inside = f"in step {step}: " if step else ""
    return (
        f"{inside}something that has not ended, or not arrived ({escape_controls(row['operation_ParentId'])})"
    )


def _lines(tree: Tree) -> Iterator[str]:
    metrics: list[str] = []
    deep = 0
    for depth, node in tree.walk():
        if node.row is not None and node.row["itemType"] == "customMetric" and not node.children:
            if metrics and depth != deep:
                yield _metrics(deep, metrics)
                metrics = []
            metrics.append(
                f"{escape_controls(node.row['message'])}={rendering.format_number(node.row.get('value'))}"
            )
            deep = depth
            continue
        if metrics:
            yield _metrics(deep, metrics)
            metrics = []
        yield _line(depth, node)
    if metrics:
        yield _metrics(deep, metrics)


def _indent(depth: int) -> str:
    """The spaces before a node. Without a limit, the text of deep trees grows with the square of their depth."""
    return "  " * min(depth, MAX_INDENT)


def _metrics(depth: int, told: Sequence[str]) -> str:
    return f"{' ' * 24}  {_indent(depth)}metrics: {', '.join(told)}"


def _line(depth: int, node: Node) -> str:
    time = rendering.format_time(node.row["timestamp"] if node.row else None)
    return f"{time:<24}  {_indent(depth)}{_said(node)}"


def _said(node: Node) -> str:
    if node.row is None or node.row["itemType"] in STEPS_AND_SPANS:
        return node.said
    level = node.row.get("level", "")
    return f"{level} {node.said}" if level in ("WARNING", "ERROR", "CRITICAL") else node.said


def _brief(row: Row) -> dict[str, Any]:
    names = ("itemType", "level", "step_name", "message", "id", "operation_ParentId", "operation_Id")
    return {"timestamp": row["timestamp"].isoformat(), **{name: row[name] for name in names}}
