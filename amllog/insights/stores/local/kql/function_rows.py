"""A row of the table of functions: the types of its arguments, the type of its result, and its SQL.

Each letter of the arguments is one argument, and a `*` repeats the letter before it:

* its type: b bool, d dynamic, g guid, i int, l int or long, p timespan, r a number (as a real), R real, s string,
  t datetime,
* several types: S string or dynamic (its text), x any, X any (its text), Z any but dynamic (its text), J any (an
  element of JSON),
* constants: c a string, k a whole number, K a key of a bag,
* v a real that is not constant, w a rewrite of a regular expression, / a regular expression.

`{0}` in the SQL is the first argument, and `{*}` all of them. An argument that the SQL contains several times is
computed once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.typed_sql import (
    NUMBERS,
    SQL_TYPES,
    WHOLE,
    TypedSql,
    text_sql,
    to_json,
    to_text,
    widen,
)

_EXACT = {"b": "bool", "d": "dynamic", "g": "guid", "i": "int", "p": "timespan", "R": "real", "s": "string",
          "t": "datetime"}  # fmt: skip
_BOUND = re.compile(r"_kql_(\d+)")
_PLACE = re.compile(r"\{(\d)\}")


class Row(NamedTuple):
    """One form of a function."""

    arguments: str
    result: str
    sql: str


Rows = dict[str, tuple[Row, ...]]


def apply(row: Row, arguments: Sequence[TypedSql]) -> TypedSql | None:
    """Return a call by one row, or None if the types of the arguments do not fit."""
    letters = list(row.arguments)
    if letters[-1:] == ["*"]:
        letters.pop()
        letters += letters[-1:] * (len(arguments) - len(letters))
    if len(letters) != len(arguments) or any(argument.type not in SQL_TYPES for argument in arguments):
        return None
    forms = [_form(letter, argument) for letter, argument in zip(letters, arguments)]
    parts = [form for form in forms if form is not None]
    if len(parts) < len(forms):
        return None
    sql = fill(row.sql, [TypedSql(part, "", None, a.is_constant) for part, a in zip(parts, arguments)])
    return TypedSql(f"coalesce({sql}, '')" if row.result == "string" else f"({sql})", row.result)


def fill(template: str, arguments: Sequence[TypedSql]) -> str:
    """Return a template with its arguments. One that it contains several times becomes a member of a list."""
    places = [int(match[1]) for match in _PLACE.finditer(template)]
    is_bound = any(places.count(n) > 1 and not argument.is_simple for n, argument in enumerate(arguments))
    texts = [argument.sql for argument in arguments]
    if not is_bound:
        return _filled(template, texts)
    number = 1 + max((int(n) for text in texts for n in _BOUND.findall(text)), default=0)
    packed = {n: argument.sql for n, argument in enumerate(arguments) if not argument.is_constant}
    texts = [f"_kql_{number}.a{n}" if n in packed else text for n, text in enumerate(texts)]
    members = ", ".join(f"a{n} := {text}" for n, text in packed.items())
    values = f"system.main.list_value(struct_pack({members}))"
    return f"list_transform({values}, lambda _kql_{number}: {_filled(template, texts)})[1]"


def _filled(template: str, texts: Sequence[str]) -> str:
    """Insert the arguments. Those in braces that are not numbers belong to a regular expression."""
    joined = template.replace("{*}", ", ".join(texts))
    return _PLACE.sub(lambda match: texts[int(match[1])], joined) if joined == template else joined


def _form(letter: str, value: TypedSql) -> str | None:
    """Return the SQL of an argument as a letter needs it, or None."""
    if letter in _EXACT:
        return value.sql if value.type == _EXACT[letter] else None
    if letter in "XZSJx":
        fits = {"S": value.type in ("string", "dynamic"), "Z": value.type != "dynamic"}.get(letter, True)
        as_is = value.sql if letter == "x" else to_json(value) if letter == "J" else to_text(value)
        return as_is if fits else None
    if letter in "lr":
        types, type_ = (WHOLE, "long") if letter == "l" else (NUMBERS, "real")
        return widen(value, type_) if value.type in types else None
    if letter == "v":
        return value.sql if value.type == "real" and not value.is_constant else None
    return _constant(letter, value)


def _constant(letter: str, value: TypedSql) -> str | None:
    if letter == "k":
        return value.sql if value.is_constant and value.type in WHOLE and value.value is not None else None
    if value.type != "string":
        return None
    if letter == "/":
        return text_sql(pattern(value))
    if not value.is_constant:
        raise UnsupportedKql("a text that is not a constant here")
    if letter == "K" and value.value.startswith("$"):
        raise UnsupportedKql("a path in place of a key")
    if letter == "w" and re.search(r"\\[^0-9\\]|\\$", value.value):
        raise UnsupportedKql(r"a replacement with a \ that is not \0 to \9")
    return value.sql


def pattern(value: TypedSql) -> str:
    """Return a regular expression in the syntax of RE2, which checks it when the query is run."""
    if not value.is_constant or value.type != "string":
        raise UnsupportedKql("a regular expression that is not a constant text")
    text = str(value.value)
    if re.search(r"\(\?<?[=!]", text) or re.search(r"(?<!\\)(?:\\\\)*\\[1-9]", text):
        raise InvalidKql("a regular expression with a lookaround or a back reference")
    return re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", text)


def groups(text: str) -> int:
    """Return the number of capture groups of a regular expression."""
    bare = re.sub(r"\\Q.*?(?:\\E|$)|\\.", "", text, flags=re.DOTALL)
    bare = re.sub(r"\[\^?\]?(?:\[:\w+:\]|[^\]])*\]", "", bare)
    return len(re.findall(r"\((?!\?)|\(\?P<", bare))
