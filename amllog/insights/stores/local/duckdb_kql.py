"""KQL as people write it → KQL that duckdb-kql reads; what it refuses, in words that are of use.

In: the text of a query; the text of an error. Out: texts. What stands in literals and comments is left alone.
"""

from __future__ import annotations

import json
import re
from typing import Any

from amllog.errors import UsageError

_COMMAND = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*\.")
_LITERAL = re.compile(
    r"""```[\s\S]*?```|~~~[\s\S]*?~~~|\b[hH](?=@?["'])"""
    r"""|//[^\n]*|@"[^"]*"|@'[^']*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
)
_RANGE, _WHOLE_END = re.compile(r"UNNEST\(generate_series\((?=CAST\()"), " AS BIGINT))"
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)")
_OLD_NAMES = re.compile(r"\b(notempty|notnull)(?=\s*\()")
_PERCENTILES = re.compile(r"(?<!= )(?<!=)\bpercentiles\s*\(\s*(\w+)\s*,([\s\d.,]+)\)")
_INNER = re.compile(
    r" \(no DuckDB mapping[^)]*\)|not implemented in this wave; "
    r"|^Invalid Input Error: (?=a range of more than)"
    r"|^Invalid Input Error: Python exception occurred while executing the UDF: UsageError: "
)
_NOT_HERE = "unsupported KQL construct"
_ASK = "; the service knows it: ask there (connect(resource_id=…), or AMLLOG_RESOURCE_ID for the command)"


def check_statement(kql: str) -> None:
    """Raise UsageError for what is not a query: control commands, such as `.create database`, and a NUL character."""
    if _COMMAND.match(kql):
        raise UsageError(
            f"{kql.strip()[:40]!r}: control commands are not supported; a query begins with a table, such as traces"
        )
    if "\0" in kql:
        raise UsageError("the query contains a NUL character")


def adapt_kql(kql: str) -> str:
    r"""Escapes such as `\u0085` as the characters themselves; texts of several lines and hidden ones (`h"…"`) as other
    texts; `percentiles` one by one; names of old as of now."""
    literals: list[str] = []

    def out(match: re.Match[str]) -> str:
        literal = match.group()
        if literal in "hH":
            return ""
        if literal[:3] in ("```", "~~~"):
            literals.append(_one_line(literal[3:-3]))
        else:
            literals.append(literal if literal[0] in "@/" else _ESCAPED.sub(_character, literal))
        return f"\0{len(literals) - 1}\0"

    bare = _OLD_NAMES.sub(r"is\1", _PERCENTILES.sub(_one_by_one, _LITERAL.sub(out, kql)))
    return re.sub("\0(\\d+)\0", lambda match: literals[int(match[1])], bare)


def check_ranges(sql: str) -> None:
    """Raise UsageError for a range of real numbers, which duckdb-kql takes for whole ones."""
    for match in _RANGE.finditer(sql):
        depth, end = 1, match.end()
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        if " AS DOUBLE)" in sql[match.end() : end] and sql[match.end() : end].endswith(_WHOLE_END):
            raise UsageError("the local engine cannot answer this KQL: a range of real numbers" + _ASK)


def error_message(told: str) -> str:
    """What duckdb-kql or DuckDB says of a query, without what only their authors can use."""
    first = told.partition("\n")[0]
    bindings = re.search(r"Candidate bindings: .*", told)
    text = _INNER.sub("", first if bindings is None or bindings[0] in first else f"{first} {bindings[0]}")
    return text + _ASK if _NOT_HERE in text else text


def decode_dynamic(value: Any, kind: str) -> Any:
    """A dynamic value that is a text, as the service gives it: without the quotes of JSON."""
    if kind == "JSON" and isinstance(value, str) and value.startswith('"'):
        return json.loads(value)
    if kind == "JSON[]" and isinstance(value, list):
        return [json.loads(one) if isinstance(one, str) else one for one in value]
    return value


def _one_by_one(match: re.Match[str]) -> str:
    return ", ".join(f"percentile({match[1]}, {one.strip()})" for one in match[2].split(","))


def _one_line(text: str) -> str:
    for character, written in (("\\", r"\\"), ('"', r"\""), ("\r", r"\r"), ("\n", r"\n")):
        text = text.replace(character, written)
    return f'"{text}"'


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match.group()
