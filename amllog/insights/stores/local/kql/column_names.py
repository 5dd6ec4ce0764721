"""The names of columns without a name, as the service gives them. Source: measured with the language service."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from amllog.insights.stores.local.kql.aggregates import AGGREGATES
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.syntax import (
    Expression,
    FunctionCall,
    Literal,
    Member,
    Name,
    NamedExpression,
    ToScalar,
)

# Functions whose result has the name of their first argument.
_KEPT = {
    "abs", "acos", "asin", "atan", "atan2", "bin", "bin_at", "binary_and", "binary_not", "binary_or",
    "binary_shift_left", "binary_shift_right", "binary_xor", "ceiling", "cos", "exp", "exp2", "floor",
    "format_datetime", "gamma", "log", "log10", "log2", "parse_json", "round", "sin", "split", "sqrt", "startofday",
    "tan", "tobool", "toboolean", "todatetime", "todecimal", "todouble", "todynamic", "toguid", "tohex", "toint",
    "tolong", "toreal", "tostring", "totimespan",
}  # fmt: skip


def implied_name(node: Expression) -> str:
    """Return the name of a column that the expression implies, or ""."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, ToScalar):
        raise UnsupportedKql("toscalar() without a name: write x = toscalar(…)")
    if isinstance(node, Member):
        return _member_name(node)
    if not isinstance(node, FunctionCall) or not node.arguments:
        return (
            AGGREGATES[node.name].prefix if isinstance(node, FunctionCall) and node.name in AGGREGATES else ""
        )
    first = node.arguments[0]
    if node.name in AGGREGATES:
        return _aggregate_name(node)
    if node.name in _KEPT:
        return implied_name(first)
    if node.name in ("strlen", "gettype"):
        return f"{'strlen' if node.name == 'strlen' else 'type'}_{implied_name(first)}"
    if node.name in ("array_sort_asc", "array_sort_desc"):
        return f"{first.name}_sorted" if isinstance(first, Name) else "array0_sorted"
    return ""


def _member_name(node: Member) -> str:
    base = implied_name(node.base)
    if isinstance(node.key, str):
        key = node.key
    elif isinstance(node.key, Literal) and node.key.type == "long" and node.key.value >= 0:
        key = str(node.key.value)
    else:
        raise UnsupportedKql("a member by a number below 0 or an expression without a name: write x = …")
    return f"{base}_{key}" if base else key


def _aggregate_name(node: FunctionCall) -> str:
    prefix, first = AGGREGATES[node.name].prefix, implied_name(node.arguments[0])
    if node.name in ("take_any", "take_anyif", "any"):
        return first or "any_"
    if node.name in ("count", "countif"):
        return prefix
    if node.name == "percentile" and len(node.arguments) > 1 and isinstance(node.arguments[1], Literal):
        percent = node.arguments[1].value
        if not isinstance(percent, (int, float)):
            raise InvalidKql("percentile() without a number")
        text = str(int(percent)) if float(percent).is_integer() else str(percent).replace(".", "_")
        return f"{prefix}{first}_{text}"
    return prefix + first


class ColumnNames:
    """The names of the columns of one operator, in their order.

    `reserved`: names that columns have by themselves. `skipped`: names of the input.
    """

    def __init__(self, reserved: Iterable[str] = (), skipped: Collection[str] = ()) -> None:
        self._taken: set[str] = set()
        self._reserved, self._skipped, self._count = set(reserved), set(skipped), 0

    def name(self, item: NamedExpression) -> str:
        """Return the name of an item."""
        return self.unique(item.name or implied_name(item.expression) or self.numbered())

    def numbered(self) -> str:
        """Return the next name for an expression that implies none."""
        self._count += 1
        while f"Column{self._count}" in self._skipped:
            self._count += 1
        return f"Column{self._count}"

    def unique(self, name: str) -> str:
        """Return a name with a number if it is taken."""
        number, unique = 0, name
        while unique in self._taken or (number and unique in self._reserved):
            number += 1
            unique = f"{name}{number}"
        self._taken.add(unique)
        return unique


def declared(items: Iterable[NamedExpression]) -> list[str]:
    """Return the names that items have by themselves. Raises InvalidKql if one is there twice."""
    names: list[str] = []
    for item in items:
        name = item.name or (item.expression.name if isinstance(item.expression, Name) else "")
        if name in names:
            raise InvalidKql(f"two columns have the name {name!r}")
        names += [name] if name else []
    return names
