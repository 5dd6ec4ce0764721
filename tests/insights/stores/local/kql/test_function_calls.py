"""Each function gives the results of the published reference, for literals, for columns and for null."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.stores.local.kql import syntax
from amllog.insights.stores.local.kql.aggregates import AGGREGATES, ROWS
from amllog.insights.stores.local.kql.expressions import compile_expression
from amllog.insights.stores.local.kql.function_calls import ALIASES, FUNCTIONS, NAMES, SPECIAL
from amllog.insights.stores.local.kql.function_rows import apply, groups
from amllog.insights.stores.local.kql.scopes import NameScope
from amllog.insights.stores.local.kql.statement_parser import StatementParser
from amllog.insights.stores.local.kql.typed_sql import SQL_TYPES

Run = Callable[[str], list[list[Any]]]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def utc(*numbers: int) -> datetime:
    """Return a time in UTC."""
    return datetime(*numbers, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]  # the type checker sees no numbers


T = "datetime(2026-11-22T10:20:30.5Z)"
EXAMPLES: dict[str, Any] = {
    # text
    "strlen('é😀')": 2, "strlen(dynamic('abc'))": 3, "string_size('é')": 2, "toupper('aé')": "AÉ",
    "tolower('AÉ')": "aé",
    "strcat('a')": "a", "strcat('a', 1, true, 1h, dynamic([1]))": "a1True01:00:00[1]",
    "strcat_delim('-', 1, 'a', long(null))": "1-a-", "strrep(1, 2)": "11", "strrep('a', 2, '-')": "a-a",
    "strrep('a', -1)": "", "strrep('a', 0, '-')": "", "reverse('abc')": "cba", "substring('abcd', 1)": "bcd",
    "substring('abcd', -2)": "cd", "substring('abcd', -9)": "", "substring('abcd', 1, 2)": "bc",
    "substring('abcd', -3, 2)": "bc", "substring('abcd', 1, -1)": "", "split('a,b,,c', ',')": ["a", "b", "", "c"],
    "split('a,b', ',', 1)": ["b"], "split('a,b', ',', 5)": None, "replace_string('aXbX', 'X', '.')": "a.b.",
    "replace_string('ab', '', 'x')": "ab", "replace_regex('a1b22', '[0-9]+', @'<\\0>')": "a<1>b<22>",
    'replace(@"\\d+", "#", "a1b22")': "a#b#", "indexof('abcabc', 'c')": 2, "indexof('abc', 'x')": -1,
    "indexof('abcabc', 'c', 3)": 5, "indexof('abc', 'a', 9)": -1, "countof('aaa', 'aa')": 2, "countof('aaa', '')": 0,
    "countof('a1b22', '[0-9]+', 'regex')": 2, "trim('[-]+', '--a-b--')": "a-b", "trim_start('a', 'aab')": "ab",
    "trim_end('b', 'abb')": "ab", "isempty('')": True, "isempty(long(null))": True, "isnotempty('a')": True,
    "isnotempty(long(1))": True, "isnull('')": False, "isnull(dynamic(null))": True, "isnotnull('')": True,
    "isnotnull(long(null))": False, "isascii('abc')": True, "isascii('é')": False, "strcmp('a', 'B')": 1,
    "strcmp('a', 'a')": 0, "strcmp('a', 'b')": -1, "base64_encode_tostring('abc')": "YWJj",
    "hash_md5('World')": "f5a7924e621e84c9280a9a27e1bcb7f6",
    "hash_sha1('World')": "70c07ec18ef89c5309bbb0937f3a6342411e1fdd",
    "hash_sha256('World')": "78ae647dc5544d227130a0682a51e30bc7777fbb6d8a8f17007463a3ecd1d524",
    "url_decode('a%20b')": "a b", "tohex(255)": "ff", "tohex(-1)": "ffffffffffffffff",
    "extract('([a-z]+)([0-9]+)', 2, 'ab12')": "12", "extract('([0-9]+)', 1, 'ab12', typeof(long))": 12,
    "extract('a', 3, 'a')": "", "extract_all('([0-9])', 'a1b2')": ["1", "2"], "extract_all('([0-9])', 'x')": None,
    "has_any_index('this is text', dynamic(['no', 'TEXT']))": 1, "has_any_index('x', dynamic(['no']))": -1,
    # numbers
    "abs(-3)": 3, "abs(-1.5)": 1.5, "abs(-1h)": HOUR, "ceiling(1.2)": 2.0, "exp(0)": 1.0, "exp2(3)": 8.0,
    "exp10(2)": 100.0, "log(1)": 0.0, "log(0)": -math.inf, "log(-1)": None, "log10(100)": 2.0, "log2(8)": 3.0,
    "sqrt(9)": 3.0, "sqrt(-1)": None, "pow(2, 10)": 1024.0, "sign(-3)": -1.0, "round(2.345, 2)": 2.35,
    "round(2.4)": 2.0, "pi()": math.pi, "isnan(real(nan))": True, "isinf(real(+inf))": True, "isfinite(1.5)": True,
    "sin(0)": 0.0, "cos(0)": 1.0, "tan(0)": 0.0, "cot(1)": 1 / math.tan(1), "atan(1)": math.pi / 4,
    "degrees(pi())": 180.0, "radians(180)": math.pi, "asin(1)": math.pi / 2, "asin(2)": None, "acos(1)": 0.0,
    "acos(2)": None, "atan2(1, 1)": math.pi / 4, "binary_and(6, 3)": 2, "binary_or(6, 3)": 7, "binary_xor(6, 3)": 5,
    "binary_not(5)": -6, "bin(7, 3)": 6, "bin(-7, 3)": -9, "bin(7, 0)": None, "bin(7.5, 2)": 6.0,
    "bin(8d, 7d)": 7 * DAY, f"bin({T}, 1h)": utc(2026, 11, 22, 10), "bin_at(6.5, 2.5, 7)": 4.5,
    "bin_at(5, 3, 1)": 4, f"bin_at({T}, 7d, datetime(2026-11-01))": utc(2026, 11, 22),
    "bin_at(1h, 1d, 12h)": -12 * HOUR,
    # times
    f"getyear({T})": 2026, f"monthofyear({T})": 11, f"getmonth({T})": 11, f"dayofmonth({T})": 22,
    f"dayofyear({T})": 326, f"hourofday({T})": 10, "week_of_year(datetime(2026-01-01))": 1,
    f"dayofweek({T})": timedelta(0), "make_datetime(2026, 1, 2)": utc(2026, 1, 2),
    "make_datetime(2026, 13, 1)": None, "make_datetime(2026, 1, 2, 3, 4)": utc(2026, 1, 2, 3, 4),
    "make_datetime(2026, 1, 2, 3, 4, 5.5)": utc(2026, 1, 2, 3, 4, 5, 500000), "make_timespan(1, 30)": 1.5 * HOUR,
    "make_timespan(1, 0, 30)": HOUR + timedelta(seconds=30), "unixtime_seconds_todatetime(60)": utc(1970, 1, 1, 0, 1),
    "unixtime_milliseconds_todatetime(1000)": utc(1970, 1, 1, 0, 0, 1),
    "unixtime_microseconds_todatetime(1)": utc(1970, 1, 1, 0, 0, 0, 1), f"startofday({T})": utc(2026, 11, 22),
    f"startofweek({T})": utc(2026, 11, 22), f"startofmonth({T}, -1)": utc(2026, 10, 1),
    f"startofyear({T})": utc(2026, 1, 1),
    "endofday(datetime(2026-01-01))": utc(2026, 1, 1, 23, 59, 59, 999999),
    "endofweek(datetime(2026-01-01))": utc(2026, 1, 3, 23, 59, 59, 999999),
    "endofmonth(datetime(2026-02-01))": utc(2026, 2, 28, 23, 59, 59, 999999),
    "endofyear(datetime(2026-02-01))": utc(2026, 12, 31, 23, 59, 59, 999999),
    "datetime_add('month', 1, datetime(2026-01-31))": utc(2026, 2, 28),
    "datetime_add('quarter', -1, datetime(2026-04-01))": utc(2026, 1, 1),
    "datetime_diff('week', datetime(2026-01-04), datetime(2026-01-03))": 1,
    "datetime_diff('day', datetime(2026-01-04), datetime(2026-01-03))": 1,
    f"datetime_part('quarter', {T})": 4, f"datetime_part('millisecond', {T})": 500,
    f"format_datetime({T}, 'yyyy-MM-dd HH:mm:ss.fff')": "2026-11-22 10:20:30.500",
    "format_datetime(datetime(null), 'yyyy-MM')": "", "format_timespan(1d + 2h, 'd.hh:mm:ss')": "1.02:00:00",
    # dynamic values
    "array_length(dynamic([1, 2]))": 2,
    "array_length(parse_json('{}'))": None, "array_reverse(dynamic([1, 2]))": [2, 1],
    "array_sum(dynamic([1, 2.5]))": 3.5, "array_sum(dynamic([1, 'a']))": None,
    "array_index_of(dynamic(['a', 'b']), 'b')": 1,
    "array_index_of(dynamic(['a']), 'b')": -1, "set_has_element(dynamic([1, 2]), 2)": True,
    "strcat_array(dynamic([1, 'a']), '-')": "1-a", "pack_array(1)": [1], "pack_array(1, 'a', 1h)": [1, "a", "01:00:00"],
    "bag_keys(dynamic({'a': 1, 'b': 2}))": ["a", "b"], "bag_has_key(dynamic({'a': 1}), 'a')": True,
    "bag_pack('a', 1, 'b', 'x')": {"a": 1, "b": "x"}, "array_slice(dynamic([1, 2, 3]), 1, -1)": [2, 3],
    "array_concat(dynamic([1]), dynamic(['a']))": [1, "a"], "range(1, 5, 2)": [1, 3, 5], "range(3, 1)": [],
    "array_sort_asc(dynamic([3, 1, 2]))": [1, 2, 3], "array_sort_desc(dynamic(['a', 'b']))": ["b", "a"],
    "gettype(dynamic({}))": "dictionary", "gettype(1h)": "timespan", "gettype(dynamic(null))": "null",
    # conversions
    "tostring(1.5)": "1.5", "tostring(true)": "True", f"tostring({T})": "2026-11-22T10:20:30.5000000Z",
    "tostring(-36h)": "-1.12:00:00", "tostring(dynamic({'a': 1}))": '{"a":1}', "tostring(long(null))": "",
    "tolong(int(3))": 3, "tolong(1.9)": 1, "tolong('0x1F')": 31, "tolong('1.5')": None, "tolong(true)": 1,
    "tolong(1tick)": 1, "tolong(dynamic('12'))": 12, "toint(int(3))": 3, "toint(4294967297)": 1, "toint(true)": 1,
    "toint('12')": 12, "toint(1.5 * 2)": 3, "toint(dynamic(3))": 3, "toreal(1)": 1.0, "toreal('1e3')": 1000.0,
    "toreal(true)": 1.0, "toreal(1tick)": 1.0, "toreal(dynamic('1.5'))": 1.5, "tobool(true)": True,
    "tobool('TRUE')": True,
    "tobool(2)": True, "tobool(dynamic(false))": False, "tobool('x')": None,
    "toguid('74be27de1e4e49d9b579fe0b331d3642')": "74be27de-1e4e-49d9-b579-fe0b331d3642",
    f"todatetime({T})": utc(2026, 11, 22, 10, 20, 30, 500000),
    "todatetime('2026-11-22T10:00:00+02:00')": utc(2026, 11, 22, 8), "todatetime('x')": None, "totimespan(1h)": HOUR,
    "totimespan('1.02:00:00')": DAY + 2 * HOUR, "totimespan('25:00:00')": None, "parse_json('[1]')": [1],
    "parse_json('plain text')": "plain text", "parse_json('')": None, "parse_json(dynamic([1]))": [1],
    # choices
    "iff(1 > 2, 'a', 'b')": "b", "case(1 > 2, 'a', 2 > 1, 'b', 'c')": "b", "coalesce('', 'a')": "a",
    "coalesce(long(null), 3)": 3, "max_of(1, 3, 2)": 3, "min_of(1h, 2h)": HOUR, "not(1 > 2)": True,
}  # fmt: skip


def call(kql: str) -> syntax.FunctionCall:
    """Return the call of an example."""
    _, body = StatementParser(f"print x = {kql}", ()).query()
    assert isinstance(body.source, syntax.Print)
    (item,) = body.source.items
    assert isinstance(item.expression, syntax.FunctionCall)
    return item.expression


def same(value: Any, expected: Any) -> bool:
    """Return whether two values and their types are equal, reals approximately."""
    if isinstance(expected, float) and isinstance(value, float):
        return math.isclose(value, expected) or value == expected
    return type(value) is type(expected) and bool(value == expected)


def test_the_examples(run: Run) -> None:
    """Each example has the value and the type of the reference."""
    values = run("print " + ", ".join(f"x{n} = {kql}" for n, kql in enumerate(EXAMPLES)))[0]
    wrong = [(kql, v) for (kql, expected), v in zip(EXAMPLES.items(), values) if not same(v, expected)]
    assert wrong == []


FORMS = {"long": "long({})", "real": "real({})", "timespan": "{}tick", "int": "int({})"}


def literals(kql: str) -> dict[int, tuple[str, str]]:
    """Return the literals among the arguments of a call: the type and the KQL of each by its position."""
    texts = {}
    for position, argument in enumerate(call(kql).arguments):
        if not isinstance(argument, syntax.Literal) or argument.value is None:
            continue
        if argument.type in ("string", "bool"):
            text = json.dumps(argument.value, ensure_ascii=False)
        elif argument.type == "dynamic":
            text = f"dynamic({json.dumps(argument.value)})"
        elif argument.type == "datetime":
            text = f"datetime({argument.value})"
        else:
            text = FORMS[argument.type].format(argument.value)
        texts[position] = (argument.type, text.replace("(inf", "(+inf"))
    return texts


def outcome(run: Run, query: str) -> Any:
    """Return the value of a query, or its message."""
    try:
        return run(query)[0][0]
    except UsageError as error:
        return error


def test_the_examples_over_columns(run: Run) -> None:
    """Each example has the same value if its literals are columns, unless a constant is needed."""
    checked = 0
    for kql, expected in EXAMPLES.items():
        columns, arguments = literals(kql), _argument_texts(kql)
        if not columns or call(kql).name in ("extract", "round", "extract_all"):
            continue
        for position in columns:
            arguments[position] = f"c{position}"
        names = ", ".join(f"c{position}: {type_}" for position, (type_, _) in columns.items())
        source = f"datatable({names})[{', '.join(text for _, text in columns.values())}]"
        value = outcome(run, f"{source} | project x = {call(kql).name}({', '.join(arguments)})")
        if not isinstance(value, UsageError):
            assert same(value, expected), (kql, value)
            checked += 1
        elif "it does not support" not in str(value):
            pytest.fail(f"{kql}: {value}")
    assert checked > 100


def _argument_texts(kql: str) -> list[str]:
    """Return the text of each argument."""
    texts, depth, quote, start = [], 0, "", kql.index("(") + 1
    for index in range(start, len(kql) - 1):
        character = kql[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and not depth:
            texts.append(kql[start:index].strip())
            start = index + 1
    return [*texts, kql[start:-1].strip()]


def test_null_in_each_argument(run: Run) -> None:
    """A null in place of an argument gives a value or a message, and never an error of DuckDB."""
    faults = []
    for kql in EXAMPLES:
        for position, (type_, _) in literals(kql).items():
            arguments = _argument_texts(kql)
            arguments[position] = "c"
            null = '""' if type_ == "string" else f"{type_}(null)"
            query = f"datatable(c: {type_})[{null}] | project x = {call(kql).name}({', '.join(arguments)})"
            value = outcome(run, query)
            faults += [query] if isinstance(value, UsageError) and "fault" in str(value) else []
    assert faults == []


def test_each_row_has_an_example() -> None:
    """Each form of each function, and each function without rows, is in the examples."""
    used, scope = set(), NameScope({}, None)  # type: ignore[arg-type]  # no definitions
    names = set()
    for kql in EXAMPLES:
        node = call(kql)
        name = ALIASES.get(node.name, node.name)
        names.add(name)
        if name in FUNCTIONS:
            arguments = [_compiled(argument, scope) for argument in node.arguments]
            used.add(next((name, row) for row in FUNCTIONS[name] if apply(row, arguments) is not None))
    assert [(name, row) for name, rows in FUNCTIONS.items() for row in rows if (name, row) not in used] == []
    assert set(SPECIAL) - names == set()


def _compiled(node: syntax.Expression, scope: NameScope) -> Any:
    definitions = type("NoDefinitions", (), {"names": (), "now": None})()
    return compile_expression(node, NameScope(scope.columns, definitions))


@pytest.mark.parametrize(
    ("kql", "message"),
    [
        ("print STRLEN('a')", "there is no function STRLEN(). Did you mean strlen? Names are case-sensitive"),
        ("print geo_distance_2points(1, 2, 3, 4)", "it does not support the function geo_distance_2points()"),
        ("print strlen(3)", "it does not support strlen(long)"),
        ("datatable(d: dynamic)[1] | project x = abs(d)", "abs(dynamic): convert the dynamic value"),
        ("print matches = 'a' matches regex '('", "a regular expression is invalid"),
        ("print x = extract('(?=a)', 0, 'a')", "a lookaround or a back reference"),
        ("print x = 9223372036854775807 + 1", "a number does not fit into 64 bits"),
        ("print x = todatetime('22/11/2026')", "a text that is not ISO 8601"),
        ("print x = bin(now(), 7d)", "use bin_at() or startofweek()"),
        ("print x = make_timespan(25, 0)", "an hour above 23"),
        ("print x = 'a' + 'b'", "'+' of string and string"),
        ("print x = datetime_add('day', 999999999, now())", "out of"),
        ("print x = toguid(1)", "toguid(long)"),
    ],
)
def test_other_calls_have_a_message(run: Run, kql: str, message: str) -> None:
    """A call that is not in the table, and a value that does not fit, have a message in words of KQL."""
    with pytest.raises(UsageError) as raised:
        run(kql)
    assert message in str(raised.value)


def test_groups_of_a_regular_expression() -> None:
    """Groups are counted as RE2 counts them."""
    cases = {
        "a": 0,
        "(a)(b)": 2,
        r"\(a\)": 0,
        "[(]": 0,
        "(?:a)": 0,
        "(?P<n>a)": 1,
        r"\Q(\E(a)": 1,
        "[[:alpha:](](a)": 1,
    }
    assert {pattern: groups(pattern) for pattern in cases} == cases


def test_types_have_sql() -> None:
    """Each result type of a row is a type that DuckDB holds."""
    assert {row.result for rows in FUNCTIONS.values() for row in rows} <= SQL_TYPES.keys()


def test_the_page_lists_all_functions() -> None:
    """docs/kql.md has each function and each aggregate, and no others."""
    page = (Path(__file__).parents[5] / "docs" / "kql.md").read_text("utf-8")
    for title, names in (("Functions", NAMES), ("Aggregates", {*AGGREGATES, *ROWS})):
        section = page.split(f"## {title}")[1].split("\n## ")[0]
        assert set(re.findall(r"`(\w+)`", section)) == names
