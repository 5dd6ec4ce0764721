"""Limits what the functions of a free query make: SQL macros that stand in front of DuckDB's own functions.

In: nothing. Out: the statements that create them, and the `Room` that counts the large texts of one query.
DuckDB's memory limit covers tables, sorts, joins and aggregates. It does not cover the values that a function makes for
one piece of up to 2,048 rows. So each function that can make much of little is told the size of its result beforehand.

What a macro does with an argument several times, DuckDB computes several times: see `_limited`, and
`statement_check` for the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from amllog.errors import UsageError

SMALL_BYTES = 256  # results that are not counted
TEXT_MAX_BYTES = 1_048_576  # of one text that a function makes: the service's limit of a text
JSON_MAX_BYTES = 32 * TEXT_MAX_BYTES  # of one dynamic value
VALUES_MAX = 5_000_000  # of one range
ROOM_BYTES = 268_435_456  # of the texts that are made for one piece of rows
ARGUMENTS_MAX = 128  # the service's limit of strcat is 64; bag_pack has two for each value
_PIECE_ROWS = 4_096  # two threads with 2,048 rows each
_SLOT_BYTES = 16  # of a text in a list
_COUNTED_BYTES = 32_768  # up to here, an estimate is enough
_TEXT, _VALUES = "a text of more than {} bytes", "a range of more than {} values"


_OF_VIEWS = {"concat_ws": {3}}  # with how many arguments the views of `relation` call them
VARIADIC, NESTED = ("concat", "concat_ws", "json_object", "json_array"), "nested"
# How many times a macro has its first argument, and each of the others.
ARGUMENT_COPIES = {
    **dict.fromkeys(("repeat", "list_concat"), (1, 4)),
    **dict.fromkeys(("replace", "regexp_replace", "str_split", "regexp_extract_all"), (1, 12)),
    **dict.fromkeys(("array_to_string", "generate_series"), (4, 4)),
}


class ResultMemory:
    """Counts the bytes that the last calls of functions have made. The texts of one piece of rows share the memory."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_PIECE_ROWS)
        self._sum = 0.0

    def clear(self) -> None:
        """Begin with the next query."""
        self._recent.clear()
        self._sum = 0.0

    def take(self, size: float, most: float) -> bool:
        """Count a result of `size` bytes. UsageError if it is larger than `most`, or if there are too many."""
        if size > most:
            raise UsageError(_TEXT.format(int(most)))
        if len(self._recent) == _PIECE_ROWS:
            self._sum -= self._recent[0]
        self._recent.append(size)
        self._sum += size
        if self._sum > ROOM_BYTES:
            raise UsageError(f"texts of more than {ROOM_BYTES} bytes at once")
        return True


def _room(size: str, most: int) -> str:
    """True, or an error. Only results above SMALL_BYTES are counted, which takes a call of Python."""
    return (
        f"CASE WHEN {size} > {SMALL_BYTES} THEN amllog_room(CAST({size} AS DOUBLE), {most}.0) ELSE true END"
    )


def _limited(parameters: str, call: str, size: str, most: int = TEXT_MAX_BYTES) -> str:
    """The parameters and the body of a macro: `call`, if there is room for `size`. Both know the first one as `_x`.

    As an element of a list it is computed once, so nested calls stay as small as they were. The others are not in that
    list: it would copy a constant for each row, and DuckDB compiles a pattern once only where it is a constant.
    """
    first = parameters.partition(", ")[0]
    return (
        f"({parameters}) AS list_transform(system.main.list_value({first}), "
        f"lambda _x: CASE WHEN {_room(size, most)} THEN {call} END)[1]"
    )


def _length(name: str) -> str:
    return f"coalesce(strlen(CAST({name} AS VARCHAR)), 0)"


def _all(name: str) -> str:
    """The length of all elements of a list."""
    each = f"list_transform({name}, lambda _y: {_SLOT_BYTES} + {_length('_y')})"
    return f"coalesce(list_sum({each}), 0)"


def _joined(function: str, count: int, between: str, most: int, *, is_nested: bool) -> str:
    """The macro of a function of `count` texts. `between`: its first parameter, the text between them."""
    names = [f"a{number}" for number in range(count)]
    here = {name: f"_x.{name}" if is_nested else name for name in (*names, "d")}
    size = " + ".join(_length(here[name]) for name in names)
    if between:
        size, names = f"{size} + {count} * {_length(here[between])}", [between, *names]
    called = [here[name] for name in names]
    if function == "json_object":  # its keys must be texts
        called[::2] = [f"CAST({key} AS VARCHAR)" for key in called[::2]]
    made = f"CASE WHEN {_room(size, most)} THEN system.main.{function}({', '.join(called)}) END"
    if is_nested:
        packed = ", ".join(f"{name} := {name}" for name in names)
        made = f"list_transform(system.main.list_value(struct_pack({packed})), lambda _x: {made})[1]"
    return f"({', '.join(names)}) AS {made}"


def _counted(replace: str, ceiling: str, size: str) -> str:
    """A size that depends on a number of matches, `{}` in `size`.

    Each match is replaced by one character and by none, and the lengths are compared. `ceiling` is the largest number
    that is possible. If the size is small even then, nothing is counted.
    """
    matches = f"(strlen({replace.format(chr(39) + 'x' + chr(39))}) - strlen({replace.format(chr(39) * 2)}))"
    most = size.format(ceiling)
    return f"CASE WHEN {most} <= {_COUNTED_BYTES} THEN {most} ELSE {size.format(matches)} END"


def _number(name: str) -> str:
    """A number, a time or a span of time in SQL, as a number."""
    text = f"CAST({name} AS VARCHAR)"
    times = (f"epoch(TRY_CAST({text} AS {kind}))" for kind in ("TIMESTAMP", "INTERVAL"))
    return f"coalesce(TRY_CAST({text} AS DOUBLE), {', '.join(times)})"


def _range(argument: str, values: str) -> str:
    return f"CASE WHEN {values} > {VALUES_MAX} THEN error('{_VALUES.format(VALUES_MAX)}') ELSE {argument} END"


def _macros() -> Iterator[tuple[str, list[str]]]:
    """Each function with its overloads."""
    yield "repeat", [_limited("s, n", "system.main.repeat(_x, n)", "CAST(strlen(_x) AS DOUBLE) * n")]
    replace, regex = 'system.main."replace"(_x, f, {})', "system.main.regexp_replace(_x, f, {}, 'g')"
    places, every = "(strlen(_x) // greatest(strlen(f), 1) + 1)", "(strlen(_x) + 1)"
    put = "strlen(_x) + CAST({} AS DOUBLE) * strlen(t)"
    yield '"replace"', [_limited("s, f, t", replace.format("t"), _counted(replace, places, put))]
    backslashes = "strlen(t) - strlen(system.main.\"replace\"(t, '\\', ''))"  # each may insert the match
    inserted = f"({backslashes}) * strlen(_x)"
    once, always = (
        f"strlen(_x) + strlen(t) + {inserted}",
        f"{_counted(regex, every, put)} + {inserted}",
    )
    first = _limited("s, f, t", "system.main.regexp_replace(_x, f, t)", once)
    yield "regexp_replace", [first, _limited("s, f, t, o", "system.main.regexp_replace(_x, f, t, o)", always)]
    slots = f"strlen(_x) + {_SLOT_BYTES} * {{}}"
    size = _counted(replace, places, slots)
    yield "str_split", [_limited("s, f", "system.main.str_split(_x, f)", size, JSON_MAX_BYTES)]
    found = _counted(regex, every, slots)
    whole = _limited("s, f", "system.main.regexp_extract_all(_x, f)", found, JSON_MAX_BYTES)
    group = _limited("s, f, g", "system.main.regexp_extract_all(_x, f, g)", found, JSON_MAX_BYTES)
    yield "regexp_extract_all", [whole, group]
    both = f"{_all('_x')} + {_all('b')}"
    yield "list_concat", [_limited("a, b", "system.main.list_concat(_x, b)", both, JSON_MAX_BYTES)]
    room = _room(f"{_all('a')} + len(a) * strlen(d)", TEXT_MAX_BYTES)
    yield "array_to_string", [f"(a, d) AS CASE WHEN {room} THEN system.main.array_to_string(a, d) END"]
    yield "to_base64", [_limited("a", "system.main.to_base64(_x)", "octet_length(_x) * 4 // 3 + 4")]
    steps, series = (
        f"({_number('b')} - {_number('a')}) / nullif({_number('c')}, 0)",
        "system.main.generate_series",
    )
    up, by = f"{series}(a, {_range('b', 'b - a')})", f"{series}(a, b, {_range('c', steps)})"
    yield "generate_series", [f"(a, b) AS {up}", f"(a, b, c) AS {by}"]


MACROS = "".join(f"CREATE MACRO {name}{', '.join(overloads)};\n" for name, overloads in _macros())


class VariadicMacros:
    """The macros of functions with any number of arguments: an overload for each number that a query has.

    All of them at once would take 200 MB. There are two forms. One has each argument three times; where such calls are
    nested, that would make the query exponentially large. The other copies constants for each row.
    """

    def __init__(self) -> None:
        self._counts: dict[str, set[int]] = {}
        self._is_nested = False

    def statements(self, used: Mapping[str, Collection[int]]) -> str:
        """Return the statements that create the macros of a query. UsageError for more arguments than the limit.

        `used`: with how many arguments it calls each function.
        """
        text = ""
        if (NESTED in used) is not self._is_nested:
            self._is_nested = NESTED in used
            self._counts = {name: set() for name in self._counts}
        for name in VARIADIC:
            known, wanted = (
                self._counts.get(name, set()),
                (set(used.get(name, ())) - {0}) | _OF_VIEWS.get(name, set()),
            )
            if max(wanted, default=0) > ARGUMENTS_MAX:
                raise UsageError(f"a function with more than {ARGUMENTS_MAX} arguments")
            if not wanted <= known:
                self._counts[name] = known | wanted
                text += f"CREATE OR REPLACE MACRO {name}{', '.join(self._overloads(name))};\n"
        return text

    def _overloads(self, name: str) -> Iterator[str]:
        most = JSON_MAX_BYTES if name.startswith("json_") else TEXT_MAX_BYTES
        for count in sorted(self._counts[name]):
            if name == "concat_ws":
                yield _joined(name, count - 1, "d", most, is_nested=self._is_nested)
            else:
                yield _joined(name, count, "", most, is_nested=self._is_nested)


class SandboxMacros:
    """The macros of one database."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._room, self._variadic = connection, ResultMemory(), VariadicMacros()
        connection.create_function("amllog_room", self._room.take, ["DOUBLE", "DOUBLE"], "BOOLEAN")
        connection.execute(MACROS)

    def begin(self, used: Mapping[str, Collection[int]]) -> None:
        """A query that calls these functions follows."""
        self._room.clear()
        if text := self._variadic.statements(used):
            self._connection.execute(text)
