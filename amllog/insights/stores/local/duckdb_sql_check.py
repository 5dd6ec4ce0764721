"""Check which tables and functions the SQL of a user's KQL uses.

The check reads the syntax tree of the statement, as DuckDB's `json_serialize_sql` returns it. The locked configuration
of the database excludes files. This check also excludes DuckDB's own tables and functions that return tables.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator
from typing import Any

from amllog.errors import UsageError
from amllog.insights.stores.local.duckdb_limits import TABLES_MAX
from amllog.insights.stores.local.duckdb_macros import ARGUMENT_COPIES, NESTED, VARIADIC

NODES_MAX = 1_000_000  # of the syntax tree, with the macros expanded
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})


def check_sql(syntax_tree: str, tables: Collection[str], known: Iterable[str]) -> dict[str, set[int]]:
    """Return the functions that a statement calls, each with its numbers of arguments.

    Raises UsageError if the statement reads other tables than `tables`, or reads them too often. `known`: the tables
    that the message lists.
    """
    count = sum(syntax_tree.count(f'"table_name":"{name}"') for name in tables)
    if count > TABLES_MAX:
        raise UsageError(
            f"the query reads tables {count} times, and the local engine {TABLES_MAX} times at most"
        )
    tree = json.loads(syntax_tree)
    if tree.get("error") or len(tree.get("statements", ())) != 1:
        # The SQL is our own, so this is a limit of the parser.
        raise UsageError("the local engine cannot answer this KQL: it is nested too deeply")
    _check_node(tree["statements"][0], frozenset(), tables, known)
    return _function_calls(tree)


def _function_calls(tree: Any) -> dict[str, set[int]]:
    """Return the called functions. `NESTED` is among them if a function of VARIADIC has the result of another one.

    A macro contains an argument several times, and a nested macro multiplies this. Raises UsageError if the expanded
    statement would be too large.
    """
    calls: dict[str, set[int]] = {}
    size, pending = 0, [(tree, 1, False)]
    while pending:
        node, copies, is_inside = pending.pop()
        size += copies
        if size > NODES_MAX:
            raise UsageError(
                "the local engine cannot answer this KQL: it is too complex (too many nested functions)"
            )
        if isinstance(node, list):
            pending += ((item, copies, is_inside) for item in node)
        elif isinstance(node, dict) and node.get("class") == "FUNCTION":
            name, arguments = str(node.get("function_name")), _arguments(node)
            calls.setdefault(name, set()).add(len(arguments))
            first, others = ARGUMENT_COPIES.get(name, (1, 1))
            if is_inside and name in VARIADIC:
                calls[NESTED] = set()
            is_inside = is_inside or name in VARIADIC
            pending += (
                (argument, copies * (others if index else first), is_inside)
                for index, argument in enumerate(arguments)
            )
            pending.append((node.get("filter"), copies, is_inside))
        elif isinstance(node, dict):
            pending += (
                (value, copies, is_inside) for value in node.values() if isinstance(value, (dict, list))
            )
    return calls


def patterns(syntax_tree: str) -> set[str]:
    """Return the constant regular expressions of a statement."""
    texts: set[str] = set()
    pending = [json.loads(syntax_tree)]
    while pending:
        node = pending.pop()
        pending += node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
        if isinstance(node, dict) and str(node.get("function_name")).startswith("regexp_"):
            texts.update(text for argument in _arguments(node)[1:2] for text in _text(argument))
    return texts


def _text(argument: dict[str, Any]) -> Iterator[str]:
    """Yield the text of an argument that is a constant. DuckDB 2 has it in another place."""
    node = argument.get("expression") or argument
    for key, member in (("literal", "text"), ("value", "value")):
        text = (node.get(key) or {}).get(member)
        if node.get("class") == "CONSTANT" and isinstance(text, str):
            yield text


def _arguments(node: dict[str, Any]) -> list[Any]:
    arguments = node.get("arguments") or node.get("children") or []
    return arguments if isinstance(arguments, list) else []


def _check_node(node: Any, visible: frozenset[str], tables: Container[str], known: Iterable[str]) -> None:
    """Check a node and all nodes below it. `visible`: the names of common table expressions that it can read."""
    if isinstance(node, list):
        for item in node:
            _check_node(item, visible, tables, known)
        return
    if not isinstance(node, dict):
        return
    type_ = node.get("type")
    if type_ == "RECURSIVE_CTE_NODE":
        visible |= {str(node.get("cte_name"))}
    for entry in (node.get("cte_map") or {}).get("map", ()):
        _check_node(entry["value"], visible, tables, known)
        visible |= {str(entry["key"])}
    if type_ == "BASE_TABLE":
        _check_table(node, visible, tables, known)
    elif type_ == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name"))
        if name not in _TABLE_FUNCTIONS:
            raise _unknown_table(name, known)
    for key, value in node.items():
        if key != "cte_map":
            _check_node(value, visible, tables, known)


def _check_table(
    node: dict[str, Any], visible: frozenset[str], tables: Container[str], known: Iterable[str]
) -> None:
    name = str(node.get("table_name"))
    qualifiers = [str(node[key]) for key in ("catalog_name", "schema_name") if node.get(key)]
    path = (node.get("qualified_name") or {}).get("path", ())
    qualifiers = qualifiers or [str(part) for part in path[:-1]]
    if qualifiers or (name not in visible and name not in tables):
        raise _unknown_table(".".join((*qualifiers, name)), known)


def _unknown_table(name: str, known: Iterable[str]) -> UsageError:
    return UsageError(
        f"the local engine cannot answer this KQL: Table with name {name} does not exist. "
        f"The tables are {', '.join(known)}"
    )
