"""The errors of the compiler for KQL, whose messages are for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

DEPTH_MAX = 60  # of nested expressions, queries and functions
SQL_MAX = 250_000  # characters of one expression or one query
TOTAL_MAX = 30_000_000  # characters of all definitions that are inserted
CALLS_MAX = 10_000  # of functions of the query


_INSTEAD_OF_OPERATORS = {
    "as": "use let T = …;",
    "evaluate": "name the members, as in extend x = tostring(customDimensions.x)",
    "find": "name the tables and columns, as in union traces, exceptions | where message has 'x'",
    "invoke": "write the operators of the function in place of it",
    "make-series": "use summarize … by bin(timestamp, 1h), which has no rows for empty bins",
    "mv-apply": "use mv-expand and summarize",
    "parse-kv": "use extract()",
    "reduce": r"use summarize count() by replace_regex(message, @'\d+', '#')",
    "sample": "use take",
    "sample-distinct": "use distinct and take",
    "search": "name the tables and columns, as in union traces, exceptions | where message has 'x'",
    "top-hitters": "use summarize n = count() by … and top 3 by n",
    "top-nested": "use summarize n = count() by … and top 3 by n",
}
_INSTEAD_OF_FUNCTIONS = {
    "bin_auto": "use bin(timestamp, 1h)", "datetime_utc_to_local": "add the offset, as in timestamp + 2h",
    "hash": "use hash_md5()", "ingestion_time": "use timestamp", "make_bag": "use make_list(bag_pack('x', x))",
    "pack_all": "use bag_pack('message', message)", "parse_url": "use extract()",
    "percentilew": "use percentile()", "todecimal": "use toreal()",
}  # fmt: skip
_OTHER_LANGUAGES = {
    "concat": "strcat", "countdistinct": "dcount", "date_trunc": "bin", "dateadd": "datetime_add",
    "datediff": "datetime_diff", "datetimeadd": "datetime_add", "if": "iff", "ifnull": "coalesce", "len": "strlen",
    "length": "strlen", "lower": "tolower", "nvl": "coalesce", "substr": "substring", "upper": "toupper",
}  # fmt: skip


class KqlError(Exception):
    """A query that the local engine does not answer. `code` and `service`: the service's error, if it is known."""

    def __init__(self, message: str, *, code: str = "SEM0000", service: str = "") -> None:
        super().__init__(message)
        self.code, self.service = code, service


class InvalidKql(KqlError):
    """A query that the service rejects, too."""


class UnsupportedKql(KqlError):
    """A query that only the service can answer. Its message begins with a noun phrase: what is not supported."""

    def __str__(self) -> str:
        return f"it does not support {super().__str__()}"


class TooComplexKql(KqlError):
    """A query that is too long or nested too deeply for the local engine."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message with the known name that is most like `name`, or ""."""
    names = list(known)
    equal = [other for other in names if other.lower() == name.lower()]
    if equal:
        return f". Did you mean {equal[0]!r}? Names are case-sensitive"
    similar = difflib.get_close_matches(name, names, 1)
    return f". Did you mean {similar[0]!r}?" if similar else ""


def unknown_table(name: str, advice: str = "") -> InvalidKql:
    """Return the error of a table that does not exist."""
    service = f"Failed to resolve table or column expression named '{name}'"
    return InvalidKql(f"there is no table {name!r}{advice}", code="SEM0100", service=service)


def unknown_column(name: str, known: Iterable[str]) -> InvalidKql:
    """Return the error of a column that does not exist."""
    service = f"Failed to resolve scalar expression named '{name}'"
    return InvalidKql(f"there is no column {name!r}{nearest(name, known)}", code="SEM0100", service=service)


def unsupported_operator(name: str) -> UnsupportedKql:
    """Return the error of an operator that only the service has, with what to write in place of it."""
    advice = _INSTEAD_OF_OPERATORS.get(name)
    return UnsupportedKql(f"the operator {name!r}{f': {advice}' if advice else ''}")


def unsupported_function(name: str) -> KqlError:
    """Return the error of a function that the local engine does not have, with what to write in place of it."""
    if name in _OTHER_LANGUAGES:
        return InvalidKql(f"there is no function {name}(). Did you mean {_OTHER_LANGUAGES[name]}()?")
    advice = _INSTEAD_OF_FUNCTIONS.get(name)
    return UnsupportedKql(f"the function {name}(){f': {advice}' if advice else ''}")


def too_deep() -> TooComplexKql:
    """Return the error of a query that is nested too deeply."""
    return TooComplexKql("it is nested too deeply")


def check_size(sql: str, copies: int = 1) -> None:
    """Raise TooComplexKql for SQL that is too long, because definitions are inserted where they are named."""
    if len(sql) * copies > SQL_MAX:
        raise too_complex()


def too_complex() -> TooComplexKql:
    """Return the error of a query whose SQL would be too long."""
    return TooComplexKql(f"it is too complex (more than {SQL_MAX} characters of SQL)")
