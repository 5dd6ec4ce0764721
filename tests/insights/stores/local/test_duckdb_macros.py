"""The macros in front of DuckDB's functions: their results and their limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.duckdb_limits import QUERY_MAX

MANY_STRINGS = "strings? of more than"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("range x from 1 to 100000000 step 1", "a range of more than"),
        ("range x from 100000000 to 1 step -1 | count", "a range of more than"),
        ("range t from datetime(1000-01-01) to datetime(9999-01-01) step 1s | count", "a range of more than"),
        ("print x = hash_sha256(strrep('a', 900000000))", "a string of more than"),
        ("print x = split(strrep('a,', 10000000), ',')", "a string of more than"),
        ("print x = replace_string(strrep('a', 1000000), 'a', strrep('b', 1000000))", "a string of more than"),
        ("print x = strlen(replace_regex(strrep('a', 1000000), 'a', '" + "b" * 400 + "'))", MANY_STRINGS),
        ("print x = strlen(replace_regex(strrep('a', 1000), 'a+', @'" + r"\0" * 2000 + "'))", MANY_STRINGS),
        ("print x = strrep('a', 100000) | extend y = strcat(" + ", ".join("x" * 64) + ")", MANY_STRINGS),
        ("print x = strrep('a', 100000) | extend y = strcat_delim('-', " + ", ".join("x" * 64) + ")",
         MANY_STRINGS),
        ("print x = strrep('a', 1000000) | extend y = strcat_array(pack_array(x, x), '-')", MANY_STRINGS),
        ("print x = base64_encode_tostring(strrep('a', 1000000))", MANY_STRINGS),
        ("print x = strrep('a', 1000000) | extend y = pack_array(" + ", ".join("x" * 64) + ")", MANY_STRINGS),
        ("print x = strrep('a', 1000000) | extend y = bag_pack("
         + ", ".join(f"'{number}', x" for number in range(64)) + ")", MANY_STRINGS),
        ("print x = pack_array(strrep('a', 1000000)) | extend y = array_concat("
         + ", ".join("x" * 40) + ")", MANY_STRINGS),
        ("range i from 1 to 3000 step 1 | extend x = strrep(tostring(i), 200000) | summarize sum(strlen(x))",
         "strings of more than 268435456 bytes at once"),
        ("print x = 1 | extend y = strcat(" + ", ".join("x" * 129) + ")", "more than 128 arguments"),
        ("print x = 'a', y = 'b' | project " + "strrep(x, strlen(" * 9 + "y" + "))" * 9, "too complex"),
        ("union " + ", ".join(["(traces | project itemCount)"] * 150) + " | count", "reads tables 150 times"),
        ("union " + ", ".join(["traces"] * 2000) + " | count", "too complex"),
        (f"traces | where message == '{'a' * QUERY_MAX}'", "characters, and the local engine accepts"),
        ("let f = (x: string) { strcat(x, x) }; print x = " + "f(" * 18 + "'a'" + ")" * 18, "too complex"),
        ("".join(f"let s{i + 1} = strcat(s{i}, s{i}); " for i in range(18)).join(["let s0 = 'ab'; ", "print s18"]),
         "too complex"),
        ("print x = " + "+".join(["1"] * 5000), "nested too deeply"),
        ("print x = " + "strcat(x, " * 100 + "'a'" + ")" * 100, "nested too deeply"),
        ("".join(f"let f{i + 1} = (x: long) {{ f{i}(f{i}(x)) }}; " for i in range(28)).join(
            ["let f0 = (x: long) { x }; ", "print f28(1)"]), "too complex"),
    ],
)  # fmt: skip
def test_a_query_that_needs_too_much_is_rejected(kql_journal: Path, query: str, message: str) -> None:
    """The length of a query, its SQL, its tables and the results of its functions are limited."""
    with pytest.raises(UsageError, match=message):
        connect(str(kql_journal)).store.query(query)


FUNCTIONS = [
    ("print replace_regex('a1b22', '[0-9]+', @'<\\0>'), replace_regex('aaa', 'b', 'c')", "a<1>b<22>", "aaa"),
    ("print replace_regex(tostring(dynamic(null)), 'a', 'b'), trim(' ', '  a  ')", "", " a "),
    ("traces | project strcat(strcat(strcat(message, 'b'), 'c'), strcat('d', 1))", "hellobcd1"),
    ("traces | project bag_pack('a', bag_pack('b', pack_array(message, strcat(message, 1))))",
     {"a": {"b": ["hello", "hello1"]}}),
    ("print strcat('a', 1, true, dynamic([1, 2])), strcat_delim('-', 'a', 'b', 3)", "a1True[1,2]", "a-b-3"),
    ("print strcat_array(dynamic(['a', 'b', 3]), '-'), base64_encode_tostring('abc')", "a-b-3", "YWJj"),
    ("print split('a,b,,c', ','), extract_all(@'(\\d)', 'a1b2')", ["a", "b", "", "c"], ["1", "2"]),
    ("print bag_pack('a', 1, 'b', 'x', 'c', true), countof('aXbX', 'X', 'regex')", {"a": 1, "b": "x", "c": True}, 2),
    ("print array_concat(dynamic([1]), dynamic([2, 'x']), dynamic([3])), pack_array(1, 'a', 2.5)",
     [1, 2, "x", 3], [1, "a", 2.5]),
    ("traces | project pack_array(message, strlen(message), 3), strcat_array(pack_array(message, 'b'), ' ')",
     ["hello", 5, 3], "hello b"),
    ("print x = 'v' | project array_length(pack_array(" + ", ".join("x" * 100) + "))", 100),
    ("traces | where message in (" + ", ".join(f"'{number}'" for number in range(300)) + ", 'hello') "
     "| project strcat(" + ", ".join(["message"] * 30) + ")", "hello" * 30),
    ("traces | where message has_any (" + ", ".join(f"'{number}'" for number in range(300)) + ", 'hello') "
     "| project pack_array(message, 1)", ["hello", 1]),
]  # fmt: skip


def test_functions_within_the_limits_work(kql_journal: Path) -> None:
    """The macros change no result of a function."""
    store = connect(str(kql_journal)).store
    (answer,) = store.query(
        "print a = strrep('ab', 3), b = strrep('', 5), c = replace_string('a-b', '-', '+')"
    )
    assert tuple(answer.values()) == ("ababab", "", "a+b")
    for query, *expected in FUNCTIONS:
        assert [list(row.values()) for row in store.query(query)] == [expected], query
    for query, count in (
        ("range x from 1 to 5 step 2", 3),
        ("range x from 5 to 1 step -2", 3),
        ("range t from datetime(2026-01-01) to datetime(2026-01-03) step 1d", 3),
        ("let n = toscalar(traces | count); range x from 1 to n step 1", 1),
        ("range x from 1 to 3000000 step 1 | count", 1),
    ):
        assert len(store.query(query)) == count, query
