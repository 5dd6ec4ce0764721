"""Limit the results of functions in a user's KQL, by SQL macros in front of DuckDB's own functions.

DuckDB's memory limit covers tables, sorts, joins and aggregates. It does not cover the values that a function makes for
one vector of up to 2,048 rows. So for each function that can make large results of small arguments, a macro computes
the size of the result first. Large results are counted by `ResultMemory`.

A macro that contains an argument several times makes DuckDB compute it several times. `_limited` avoids this for the
first argument. `duckdb_sql_check` limits the size of the expanded statement.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from amllog.errors import MissingExtraError, UsageError
from amllog.insights.stores.local.kql import value_macros

SMALL_BYTES = 256  # smaller results are not counted
TEXT_MAX_BYTES = 1_048_576  # of one string: the limit of the service
JSON_MAX_BYTES = 32 * TEXT_MAX_BYTES  # of one dynamic value
VALUES_MAX = 5_000_000  # in one range
TOTAL_MAX_BYTES = 268_435_456  # of the strings for the vectors of all threads
ARGUMENTS_MAX = 128  # The service's limit of strcat is 64. bag_pack has two for each value.
_VECTOR_ROWS = 4_096  # two threads with 2,048 rows each
_ITEM_BYTES = 16  # of a string in a list, in addition to its characters
_ESTIMATED_BYTES = 32_768  # up to this size, an estimate is enough
_TOO_LONG, _TOO_MANY = "a string of more than {} bytes", "a range of more than {} values"

_CALLS_OF_VIEWS = {"concat_ws": {3}}  # numbers of arguments in the SQL of `duckdb_views`
VARIADIC, NESTED = ("concat", "concat_ws", "json_object", "json_array"), "nested"
# The number of copies of its first argument, and of each other argument, in a macro.
ARGUMENT_COPIES = {
    **dict.fromkeys(("repeat", "list_concat"), (1, 4)),
    **dict.fromkeys(("replace", "regexp_replace", "str_split", "regexp_extract_all"), (1, 12)),
    **dict.fromkeys(("array_to_string", "generate_series"), (4, 4)),
}


class ResultMemory:
    """A counter of the bytes of the latest results of functions. Those of one vector are in memory together."""

    def __init__(self) -> None:
        self._sizes: deque[float] = deque(maxlen=_VECTOR_ROWS)
        self._sum = 0.0

    def clear(self) -> None:
        """Reset the count for the next query."""
        self._sizes.clear()
        self._sum = 0.0

    def reserve(self, size: float, max_size: float) -> bool:
        """Count a result of `size` bytes. Raises UsageError if it, or the sum of the latest ones, is too large."""
        if size > max_size:
            raise UsageError(_TOO_LONG.format(int(max_size)))
        if len(self._sizes) == _VECTOR_ROWS:
            self._sum -= self._sizes[0]
        self._sizes.append(size)
        self._sum += size
        if self._sum > TOTAL_MAX_BYTES:
            raise UsageError(f"strings of more than {TOTAL_MAX_BYTES} bytes at once")
        return True


def _reserve(size: str, max_size: int) -> str:
    """Return SQL that is true or an error. Only results above SMALL_BYTES call Python, which takes time."""
    return f"CASE WHEN {size} > {SMALL_BYTES} THEN amllog_reserve(CAST({size} AS DOUBLE), {max_size}.0) ELSE true END"


def _limited(parameters: str, call: str, size: str, max_size: int = TEXT_MAX_BYTES) -> str:
    """Return the parameters and the body of a macro, which is `call` if `size` can be reserved.

    Both use the first parameter as `_kql_x`. It is an element of a list, so it is computed once, and nested calls do
    not grow. The other parameters are not in that list, because a list copies a constant for each row. DuckDB
    compiles a pattern only once if it is a constant.
    """
    first = parameters.partition(", ")[0]
    return (
        f"({parameters}) AS list_transform(system.main.list_value({first}), "
        f"lambda _kql_x: CASE WHEN {_reserve(size, max_size)} THEN {call} END)[1]"
    )


def _length(name: str) -> str:
    return f"coalesce(strlen(CAST({name} AS VARCHAR)), 0)"


def _list_length(name: str) -> str:
    """Return SQL for the length of all elements of a list."""
    each = f"list_transform({name}, lambda _kql_y: {_ITEM_BYTES} + {_length('_kql_y')})"
    return f"coalesce(list_sum({each}), 0)"


def _joined(function: str, count: int, separator: str, max_size: int, *, is_nested: bool) -> str:
    """Return the macro of a function of `count` strings. `separator`: its first parameter, if it has one."""
    names = [f"a{number}" for number in range(count)]
    values = {name: f"_kql_x.{name}" if is_nested else name for name in (*names, "d")}
    size = " + ".join(_length(values[name]) for name in names)
    if separator:
        size, names = f"{size} + {count} * {_length(values[separator])}", [separator, *names]
    arguments = [values[name] for name in names]
    if function == "json_object":  # its keys must be strings
        arguments[::2] = [f"CAST({key} AS VARCHAR)" for key in arguments[::2]]
    body = f"CASE WHEN {_reserve(size, max_size)} THEN system.main.{function}({', '.join(arguments)}) END"
    if is_nested:
        packed = ", ".join(f"{name} := {name}" for name in names)
        body = f"list_transform(system.main.list_value(struct_pack({packed})), lambda _kql_x: {body})[1]"
    return f"({', '.join(names)}) AS {body}"


def _counted(replace: str, ceiling: str, size: str) -> str:
    """Return SQL for a size that depends on the number of matches, which is `{}` in `size`.

    Each match is replaced by one character and by none, and the difference of the lengths is the number. `ceiling`:
    the largest possible number. If the size is small even then, the matches are not counted.
    """
    matches = f"(strlen({replace.format(chr(39) + 'x' + chr(39))}) - strlen({replace.format(chr(39) * 2)}))"
    largest = size.format(ceiling)
    return f"CASE WHEN {largest} <= {_ESTIMATED_BYTES} THEN {largest} ELSE {size.format(matches)} END"


def _number(name: str) -> str:
    """Return SQL that converts a number, a time or a time span to a number."""
    text = f"CAST({name} AS VARCHAR)"
    times = (f"epoch(TRY_CAST({text} AS {kind}))" for kind in ("TIMESTAMP", "INTERVAL"))
    return f"coalesce(TRY_CAST({text} AS DOUBLE), {', '.join(times)})"


def _range(argument: str, values: str) -> str:
    return f"CASE WHEN {values} > {VALUES_MAX} THEN error('kql: {_TOO_MANY.format(VALUES_MAX)}') ELSE {argument} END"


def _macros() -> Iterator[tuple[str, list[str]]]:
    """Yield each function with its overloads."""
    yield "repeat", [_limited("s, n", "system.main.repeat(_kql_x, n)", "CAST(strlen(_kql_x) AS DOUBLE) * n")]
    replace, regex = 'system.main."replace"(_kql_x, f, {})', "system.main.regexp_replace(_kql_x, f, {}, 'g')"
    places, every = "(strlen(_kql_x) // greatest(strlen(f), 1) + 1)", "(strlen(_kql_x) + 1)"
    replaced = "strlen(_kql_x) + CAST({} AS DOUBLE) * strlen(t)"
    yield '"replace"', [_limited("s, f, t", replace.format("t"), _counted(replace, places, replaced))]
    # Each backslash may insert the match.
    backslashes = "strlen(t) - strlen(system.main.\"replace\"(t, '\\', ''))"
    inserted = f"({backslashes}) * strlen(_kql_x)"
    once, always = (
        f"strlen(_kql_x) + strlen(t) + {inserted}",
        f"{_counted(regex, every, replaced)} + {inserted}",
    )
    first = _limited("s, f, t", "system.main.regexp_replace(_kql_x, f, t)", once)
    yield (
        "regexp_replace",
        [first, _limited("s, f, t, o", "system.main.regexp_replace(_kql_x, f, t, o)", always)],
    )
    items = f"strlen(_kql_x) + {_ITEM_BYTES} * {{}}"
    size = _counted(replace, places, items)
    yield "str_split", [_limited("s, f", "system.main.str_split(_kql_x, f)", size, JSON_MAX_BYTES)]
    matches = _counted(regex, every, items)
    whole = _limited("s, f", "system.main.regexp_extract_all(_kql_x, f)", matches, JSON_MAX_BYTES)
    group = _limited("s, f, g", "system.main.regexp_extract_all(_kql_x, f, g)", matches, JSON_MAX_BYTES)
    yield "regexp_extract_all", [whole, group]
    lengths = f"{_list_length('_kql_x')} + {_list_length('b')}"
    yield "list_concat", [_limited("a, b", "system.main.list_concat(_kql_x, b)", lengths, JSON_MAX_BYTES)]
    reserve = _reserve(f"{_list_length('a')} + len(a) * strlen(d)", TEXT_MAX_BYTES)
    yield "array_to_string", [f"(a, d) AS CASE WHEN {reserve} THEN system.main.array_to_string(a, d) END"]
    yield "to_base64", [_limited("a", "system.main.to_base64(_kql_x)", "octet_length(_kql_x) * 4 // 3 + 4")]
    steps, series = (
        f"({_number('b')} - {_number('a')}) / nullif({_number('c')}, 0)",
        "system.main.generate_series",
    )
    up, by = f"{series}(a, {_range('b', 'b - a')})", f"{series}(a, b, {_range('c', steps)})"
    yield "generate_series", [f"(a, b) AS {up}", f"(a, b, c) AS {by}"]


MACROS = "".join(f"CREATE MACRO {name}{', '.join(overloads)};\n" for name, overloads in _macros())


class VariadicMacros:
    """The macros of functions with any number of arguments: an overload for each number that a query uses.

    All overloads together would take 200 MB. There are two forms of them. One contains each argument three times. With
    nested calls, it would make the query exponentially large. Then the other form is used, which copies constants for
    each row.
    """

    def __init__(self) -> None:
        self._counts: dict[str, set[int]] = {}
        self._is_nested = False

    def statements(self, calls: Mapping[str, Collection[int]]) -> str:
        """Return the statements that create the macros for a query. Raises UsageError for too many arguments.

        `calls`: the numbers of arguments with which the query calls each function.
        """
        sql = ""
        if (NESTED in calls) is not self._is_nested:
            self._is_nested = NESTED in calls
            self._counts = {name: set() for name in self._counts}
        for name in VARIADIC:
            known, wanted = (
                self._counts.get(name, set()),
                (set(calls.get(name, ())) - {0}) | _CALLS_OF_VIEWS.get(name, set()),
            )
            if max(wanted, default=0) > ARGUMENTS_MAX:
                raise UsageError(f"a function with more than {ARGUMENTS_MAX} arguments")
            if not wanted <= known:
                self._counts[name] = known | wanted
                sql += f"CREATE OR REPLACE MACRO {name}{', '.join(self._overloads(name))};\n"
        return sql

    def _overloads(self, name: str) -> Iterator[str]:
        max_size = JSON_MAX_BYTES if name.startswith("json_") else TEXT_MAX_BYTES
        for count in sorted(self._counts[name]):
            if name == "concat_ws":
                yield _joined(name, count - 1, "d", max_size, is_nested=self._is_nested)
            else:
                yield _joined(name, count, "", max_size, is_nested=self._is_nested)


class SandboxMacros:
    """The macros of one database."""

    def __init__(self, connection: Any) -> None:
        if importlib.util.find_spec("numpy") is None:  # DuckDB imports it for a function in Python
            raise MissingExtraError("numpy", "insights")
        self._connection, self._memory, self._variadic = connection, ResultMemory(), VariadicMacros()
        connection.create_function("amllog_reserve", self._memory.reserve, ["DOUBLE", "DOUBLE"], "BOOLEAN")
        connection.execute(MACROS)
        connection.execute(value_macros.MACROS)

    def prepare(self, calls: Mapping[str, Collection[int]]) -> None:
        """Create the macros for the next query. `calls`: as in `VariadicMacros.statements`."""
        self._memory.clear()
        if sql := self._variadic.statements(calls):
            self._connection.execute(sql)
