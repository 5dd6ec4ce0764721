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
from amllog.insights.stores.local.duckdb_limits import TABLES_MAX
from amllog.insights.stores.local.duckdb_macros import ARGUMENT_COPIES, NESTED, VARIADIC

NODES_MAX = 1_000_000  # of the syntax tree, after the macros were put in
_PURE = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})  # table functions


def check_sql(parsed: str, tables: Collection[str], known: Iterable[str]) -> dict[str, set[int]]:
    """Raise UsageError if the statement reads anything but `tables`, or them too often. `known`: the tables that the
    message names. Return the functions that it calls, each with its numbers of arguments."""
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
    return _calls(tree)


def _calls(tree: Any) -> dict[str, set[int]]:
    """`NESTED` is among them where one function of VARIADIC has the result of another.

    Raise UsageError if the macros would make too much of it: what they do several times with an argument, and with its
    own arguments in turn.
    """
    found: dict[str, set[int]] = {}
    size, todo = 0, [(tree, 1, False)]
    while todo:
        node, times, within = todo.pop()
        size += times
        if size > NODES_MAX:
            raise UsageError(
                "the local engine cannot answer this KQL: it is too complex (too many nested functions)"
            )
        if isinstance(node, list):
            todo += ((one, times, within) for one in node)
        elif isinstance(node, dict) and node.get("class") == "FUNCTION":
            name, arguments = str(node.get("function_name")), _arguments(node)
            found.setdefault(name, set()).add(len(arguments))
            first, others = ARGUMENT_COPIES.get(name, (1, 1))
            if within and name in VARIADIC:
                found[NESTED] = set()
            within = within or name in VARIADIC
            todo += (
                (one, times * (others if index else first), within) for index, one in enumerate(arguments)
            )
            todo.append((node.get("filter"), times, within))
        elif isinstance(node, dict):
            todo += ((one, times, within) for one in node.values() if isinstance(one, (dict, list)))
    return found


def _arguments(node: dict[str, Any]) -> list[Any]:
    given = node.get("arguments") or node.get("children") or []
    return given if isinstance(given, list) else []


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
