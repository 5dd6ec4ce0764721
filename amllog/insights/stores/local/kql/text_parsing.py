"""Compile the operators parse and parse-where of the kind simple."""

from __future__ import annotations

import re

from amllog.insights.stores.local.kql.conversions import converted
from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql, check_size
from amllog.insights.stores.local.kql.relations import Relation
from amllog.insights.stores.local.kql.scopes import Definitions, NameScope
from amllog.insights.stores.local.kql.syntax import Parse
from amllog.insights.stores.local.kql.typed_sql import TypedSql, need, text_sql, to_text

_NUMBERS = {
    "long": r"\s*([-+]?\d+)",
    "int": r"\s*([-+]?\d+)",
    "real": r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)",
}


def apply_parse(operator: Parse, relation: Relation, definitions: Definitions) -> Relation:
    """Return the rows with the columns of the pattern."""
    value = compile_expression(operator.value, NameScope(relation.columns, definitions))
    text = to_text(need(value, "parse", "string", "dynamic"))
    pattern = text_sql(_pattern(operator))
    values: dict[str, TypedSql] = {}
    columns = [part for part in operator.parts if isinstance(part, tuple)]
    check_size(text + pattern, len(columns))
    for number, (name, type_) in enumerate(columns):
        if name in values:
            raise InvalidKql(f"two columns have the name {name!r}")
        sql = f"coalesce(regexp_extract({text}, {pattern}, {number + 1}), '')"
        values[name] = converted(TypedSql(sql, "string"), type_)
    suffix = f" WHERE regexp_matches({text}, {pattern})" if operator.is_filter else ""
    return relation.extended(values, suffix)


def _pattern(operator: Parse) -> str:
    """Return the parts as a regular expression with a group for each column."""
    parts = operator.parts
    pattern = "" if parts and parts[0] is None else "^"
    for index, part in enumerate(parts):
        after = parts[index + 1 :]
        if isinstance(part, str):
            pattern += re.sub(r"([^\w\s])", r"\\\1", part, flags=re.ASCII)
        elif part is None:
            if after and not isinstance(after[0], str):
                raise UnsupportedKql("parse in which no text follows *")
            pattern += "(?s:.*?)" if after else ""
        elif part[1] == "string":
            if after and not isinstance(after[0], str):
                raise UnsupportedKql("parse in which no text follows a column of type string")
            pattern += "((?s:.*?))" if after else "((?s:.*))"
        elif part[1] in _NUMBERS:
            pattern += _NUMBERS[part[1]]
        else:
            raise UnsupportedKql(f"parse with a column of type {part[1]}")
    return pattern
