"""Explain an error of DuckDB while it runs a compiled query of a user, in words of KQL.

The compiler has rejected all faults that depend on names and types. What remains depends on values.
"""

from __future__ import annotations

import re

_OWN = re.compile(r"(?:kql|UsageError): (.*)")
_REGEX = re.compile(
    r"missing [])]|invalid escape sequence|repetition operator|perl operator|character class|repetition size|"
    r"named capture group|unexpected \)|trailing \\|invalid UTF-8|pattern too large|bad repetition|no argument for"
)
_BY_CLASS = {
    "OutOfRangeException": "a number does not fit into 64 bits, or a time is before the year 1 or after 9999",
    "ConversionException": "a value is out of the range of its type",
    "OutOfMemoryException": "there is too little memory: use a shorter time range, fewer rows, or a summary",
    "ParserException": "it is nested too deeply",
}
_TOO_EARLY_OR_LATE = "a time is before the year 1 or after 9999"
_INTERNAL = "the local engine has an internal fault with it: please report it"


class ValueOutOfRange(Exception):
    """A value of an answer that Python cannot hold."""


def explain(error: Exception) -> str:
    """Return the reason in one sentence, without the words of DuckDB."""
    text, kind = str(error), type(error).__name__
    own = _OWN.search(text)
    if own:
        return own[1]
    if isinstance(error, ValueOutOfRange):
        return _TOO_EARLY_OR_LATE
    if kind == "IOException":
        return f"the journals cannot be read: {text.partition(chr(10))[0]}"
    if kind == "InvalidInputException" and _REGEX.search(text):
        return "a regular expression is invalid (its syntax is that of RE2)"
    if kind == "BinderException" and "subqueries in lambda" in text:
        return "a query in place of an argument of a function"
    return _BY_CLASS.get(kind, _INTERNAL)
