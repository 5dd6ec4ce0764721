"""Adapt KQL of users for duckdb-kql, and rewrite the errors of duckdb-kql and DuckDB.

String literals and comments are not changed, except for forms of literals that duckdb-kql does not read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from amllog.config.variables import RESOURCE_ID
from amllog.errors import UsageError

_COMMAND = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*\.")
_LITERAL = re.compile(
    r"""```[\s\S]*?```|~~~[\s\S]*?~~~|\b[hH](?=@?["'])"""
    r"""|//[^\n]*|@"[^"]*"|@'[^']*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
)
_RANGE, _INTEGER_END = re.compile(r"UNNEST\(generate_series\((?=CAST\()"), " AS BIGINT))"
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)")
_OLD_NAMES = re.compile(r"\b(notempty|notnull)(?=\s*\()")
_PERCENTILES = re.compile(r"(?<!= )(?<!=)\bpercentiles\s*\(\s*(\w+)\s*,([\s\d.,]+)\)")
_INTERNAL_DETAILS = re.compile(
    r" \(no DuckDB mapping[^)]*\)|not implemented in this wave; "
    r"|^Invalid Input Error: (?=a range of more than)"
    r"|^Invalid Input Error: Python exception occurred while executing the UDF: UsageError: "
)
_UNSUPPORTED = "unsupported KQL construct"
_USE_SERVICE = (
    f". Query the service, which supports it (connect(resource_id=…), or {RESOURCE_ID} for the command)"
)


def check_statement(kql: str) -> None:
    """Raise UsageError for a control command such as `.create database`, and for a NUL character."""
    if _COMMAND.match(kql):
        raise UsageError(
            f"{kql.strip()[:40]!r}: control commands are not supported. A query begins with a table, such as traces"
        )
    if "\0" in kql:
        raise UsageError("the query contains a NUL character")


def adapt_kql(kql: str) -> str:
    r"""Return a query in the forms that duckdb-kql reads.

    Escapes such as `\u0085` become characters, multi-line and obfuscated strings (`h"…"`) become plain strings,
    `percentiles` becomes several calls of `percentile`, and old function names become the present ones.
    """
    literals: list[str] = []

    def store_literal(match: re.Match[str]) -> str:
        literal = match.group()
        if literal in "hH":
            return ""
        if literal[:3] in ("```", "~~~"):
            literals.append(_one_line(literal[3:-3]))
        else:
            literals.append(literal if literal[0] in "@/" else _ESCAPED.sub(_character, literal))
        return f"\0{len(literals) - 1}\0"

    code = _OLD_NAMES.sub(r"is\1", _PERCENTILES.sub(_single_percentiles, _LITERAL.sub(store_literal, kql)))
    return re.sub("\0(\\d+)\0", lambda match: literals[int(match[1])], code)


def check_ranges(sql: str) -> None:
    """Raise UsageError for a range of real numbers, which duckdb-kql translates to one of integers."""
    for match in _RANGE.finditer(sql):
        depth, end = 1, match.end()
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        if " AS DOUBLE)" in sql[match.end() : end] and sql[match.end() : end].endswith(_INTEGER_END):
            raise UsageError(
                "the local engine cannot answer this KQL: a range of real numbers" + _USE_SERVICE
            )


def error_message(message: str) -> str:
    """Return an error message of duckdb-kql or DuckDB without details that only their authors can use."""
    first_line = message.partition("\n")[0]
    bindings = re.search(r"Candidate bindings: .*", message)
    if bindings is not None and bindings[0] not in first_line:
        first_line = f"{first_line} {bindings[0]}"
    text = _INTERNAL_DETAILS.sub("", first_line)
    return text + _USE_SERVICE if _UNSUPPORTED in text else text


def decode_dynamic(value: Any, type_: str) -> Any:
    """Return a dynamic value that is a string as the service does, without the quotes of JSON."""
    if type_ == "JSON" and isinstance(value, str) and value.startswith('"'):
        return json.loads(value)
    if type_ == "JSON[]" and isinstance(value, list):
        return [json.loads(item) if isinstance(item, str) else item for item in value]
    return value


def _single_percentiles(match: re.Match[str]) -> str:
    return ", ".join(f"percentile({match[1]}, {number.strip()})" for number in match[2].split(","))


def _one_line(text: str) -> str:
    for character, written in (("\\", r"\\"), ('"', r"\""), ("\r", r"\r"), ("\n", r"\n")):
        text = text.replace(character, written)
    return f'"{text}"'


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match.group()
