"""Checks which tables the SQL of a free query reads.

In: the syntax tree of a SELECT statement, as DuckDB's `json_serialize_sql` gives it. Out: nothing, or a UsageError that
names the tables there are. The locked configuration of the database keeps files out of reach; this check also keeps
out DuckDB's own tables and functions that return tables.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable
from typing import Any

from amllog.errors import UsageError
from amllog.insights.limits import TABLES_MAX

_PURE = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})  # table functions


def check(parsed: str, tables: Collection[str], known: Iterable[str]) -> None:
    """Raise UsageError if the statement reads anything but `tables`, or them too often. `known`: the tables that the
    message names."""
    times = sum(parsed.count(f'"table_name":"{name}"') for name in tables)
    if times > TABLES_MAX:
        raise UsageError(
            f"the query reads tables {times} times, and the local engine {TABLES_MAX} times at most"
        )
    tree = json.loads(parsed)
    if tree.get("error") or len(tree.get("statements", ())) != 1:
        said = tree.get("error_message", "it is not a single query")
        raise UsageError(f"the local engine cannot answer this KQL: {said}")
    _look(tree["statements"][0], frozenset(), tables, known)


def _look(node: Any, bound: frozenset[str], tables: Container[str], known: Iterable[str]) -> None:
    """Check a node and everything below. `bound`: the names of common table expressions that are visible here."""
    if isinstance(node, list):
        for one in node:
            _look(one, bound, tables, known)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind == "RECURSIVE_CTE_NODE":
        bound |= {str(node.get("cte_name"))}
    for entry in (node.get("cte_map") or {}).get("map", ()):
        _look(entry["value"], bound, tables, known)
        bound |= {str(entry["key"])}
    if kind == "BASE_TABLE":
        _check_table(node, bound, tables, known)
    elif kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name"))
        if name not in _PURE:
            raise _missing(name, known)
    for key, value in node.items():
        if key != "cte_map":
            _look(value, bound, tables, known)


def _check_table(
    node: dict[str, Any], bound: frozenset[str], tables: Container[str], known: Iterable[str]
) -> None:
    name = str(node.get("table_name"))
    within = [str(node[key]) for key in ("catalog_name", "schema_name") if node.get(key)]
    within = within or [str(one) for one in (node.get("qualified_name") or {}).get("path", ())[:-1]]
    if within or (name not in bound and name not in tables):
        raise _missing(".".join((*within, name)), known)


def _missing(name: str, known: Iterable[str]) -> UsageError:
    return UsageError(
        f"the local engine cannot answer this KQL: Table with name {name} does not exist; "
        f"the tables are {', '.join(known)}"
    )
