"""The errors of the compiler for KQL, whose messages are for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

DEPTH_MAX = 60  # of nested expressions, queries and functions
SQL_MAX = 250_000  # characters of one expression or one query
TOTAL_MAX = 30_000_000  # characters of all definitions that are inserted
CALLS_MAX = 10_000  # of functions of the query


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
