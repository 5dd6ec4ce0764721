"""Operators, names and types of KQL: what is answered, and what is rejected with a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.query.result import Table
from amllog.insights.stores.local.duckdb_tables import schema
from amllog.insights.stores.local.kql.compiler import compile_kql
from amllog.insights.stores.local.kql.reasons import KqlError

from ....conftest import failure, log, step  # isort: skip

Run = Callable[[str], list[list[Any]]]
HOUR = timedelta(hours=1)
ROWS = "datatable(k: string, n: long, t: datetime, d: dynamic)['a', 1, datetime(2026-01-01), dynamic({'x': [1, 2]}), "
ROWS += "'b', 2, datetime(2026-01-02), dynamic({'x': 5}), 'a', 3, datetime(null), dynamic(null)]"

ANSWERS: dict[str, list[list[Any]]] = {
    f"{ROWS} | where n > 1 and k == 'a' | project n": [[3]],
    f"{ROWS} | extend m = n * 2, n = -n | project k, m, n | sort by m asc | take 1": [["a", 2, -1]],
    f"{ROWS} | sort by description asc": [],
    f"{ROWS} | summarize total = sum(n), count() by k | sort by k asc": [["a", 4, 2], ["b", 2, 1]],
    f"{ROWS} | summarize arg_max(n, t, k)": [[3, None, "a"]],
    f"{ROWS} | summarize round(100.0 * countif(n > 1) / count(), 1)": [[66.7]],
    f"{ROWS} | summarize percentiles(n, 50, 100), dcount(k), make_set(1 > n)": [[2, 3, 2, [False]]],
    f"{ROWS} | summarize n = make_list(n) by k | sort by k asc": [["a", [1, 3]], ["b", [2]]],
    f"{ROWS} | summarize make_list(t)": [[["2026-01-01T00:00:00.0000000Z", "2026-01-02T00:00:00.0000000Z"]]],
    f"{ROWS} | where n > 9 | summarize make_list(t), sum(n), avg(n), max(k), count()": [[[], 0, None, "", 0]],
    f"{ROWS} | distinct k | sort by k desc": [["b"], ["a"]],
    f"{ROWS} | top 2 by n | project n": [[3], [2]],
    f"{ROWS} | sort by t asc | project n": [[3], [1], [2]],
    f"{ROWS} | sort by t asc nulls last | project n | limit 1": [[1]],
    f"{ROWS} | count": [[3]],
    f"{ROWS} | count as rows": [[3]],
    f"{ROWS} | project-away t, d | project-rename key = k | project-reorder n | take 1": [[1, "a"]],
    f"{ROWS} | project-keep k*, n | sort by n asc | take 1": [["a", 1]],
    f"{ROWS} | mv-expand with_itemindex=i x = d.x to typeof(long) | where n < 3 | sort by n asc, i asc "
    "| project n, i, x":
        [[1, 0, 1], [1, 1, 2], [2, 0, 5]],
    f"{ROWS} | sort by n asc | mv-expand x = d.x | project x | take 2": [[1], [2]],
    f"{ROWS} | getschema | project ColumnName, ColumnType | take 1": [["k", "string"]],
    f"{ROWS} | join kind=inner (datatable(k: string, m: long)['a', 7]) on k | project k, m, n | sort by n asc":
        [["a", 7, 1], ["a", 7, 3]],
    f"{ROWS} | join kind=leftanti (datatable(key: string)['a']) on $left.k == $right.key | project k": [["b"]],
    f"{ROWS} | join kind=leftouter (datatable(k: string, s: string)['a', 'x']) on k | where k == 'b' "
    "| project s, k1": [["", ""]],
    f"{ROWS} | lookup (datatable(k: string, m: long)['a', 7]) on k | where n == 3 | project-away t, d": [["a", 3, 7]],
    "print a = 1 | union (print b = 'x') | sort by b asc": [[1, ""], [None, "x"]],
    "union withsource=s (print a = 1), (print a = 2) | project s, a | sort by a asc":
        [["union_arg0", 1], ["union_arg1", 2]],
    "union isfuzzy=true (print a = 1), nothing": [[1]],
    "let f = (x: long, y: long = 2) { x * y }; print f(3), f(3, 4)": [[6, 12]],
    "let t = () { print x = 1 }; t() | extend y = x": [[1, 1]],
    "let m = toscalar(range x from 1 to 5 step 1 | summarize max(x)); range x from 1 to 9 step 1 | where x > m | count":
        [[4]],
    "range t from datetime(2026-01-01) to datetime(2026-01-02) step 12h | count": [[3]],
    "print s = 'level=3; msg=a b' | parse s with 'level=' level: long '; msg=' msg": [["level=3; msg=a b", 3, "a b"]],
    "print s = 'x' | parse-where s with 'level=' level: long": [],
    "print 5 in (1, 5), 'A' in~ ('a'), 'a' !in ('b'), 1 in (dynamic([1, 2])), 'b' in ((print x = 'b'))": [[True] * 5],
    "print 'a-b' has 'a', 'ab' has 'a', 'É' contains 'é', 'A' =~ 'a', 'ab' startswith 'A', 'ab' endswith_cs 'B'":
        [[True, False, False, True, True, False]],
    "print 'a b' has_any ('x', 'B'), 'a b' has_all ('a', 'B'), 'ab' hasprefix 'A', 'a' !has 'b'": [[True] * 4],
    "print now() - now(), 1h / 2, 1h / 30m, 90m % 1h, 1d between (1h .. 2d), -(1h)":
        [[timedelta(0), HOUR / 2, 2.0, HOUR / 2, True, -HOUR]],
    "print 7 / 2, 7.0 / 2, -7 % 3, 1 / 0, 1 / 0.0": [[3, 3.5, 2, None, float("inf")]],
    "datatable(a: real, b: real)[1, 0] | project a / b": [[float("inf")]],
    "print d = dynamic({'a': null, 'b': [1, {'c': 'x'}]}) "
    "| project isnull(d.a), d.b[1].c, x = d['b'][-2], tostring(d.nosuch)":
        [[True, "x", 1, ""]],
    "datatable(a: timespan)[1h, 3h] | summarize avg(a), sum(a), max(a), percentile(a, 50)":
        [[2 * HOUR, 4 * HOUR, 3 * HOUR, HOUR]],
    "datatable(d: timespan)[8d] | summarize count() by bin(d, 7d)": [[timedelta(7), 1]],
    "print x = datetime(2026-01-01) == '2026-01-01', y = 3 == '3'": [[True, True]],
}  # fmt: skip
REJECTED = {
    "traces | where Message == 'x'": "no column 'Message'. Did you mean 'message'? Names are case-sensitive",
    "traces | extend x = MESSAGE": "no column 'MESSAGE'",
    "traces | distinct Message": "no column 'Message'",
    "traces | summarize Max(timestamp)": "no function Max(). Did you mean max",
    "Traces | take 1": "no table 'Traces'. Did you mean 'traces'?",
    "traces | summarize count() by customDimensions.x":
        "'customDimensions_x' of type dynamic: convert it, as in tostring(…)",
    "traces | sort by customDimensions.x": "a key to sort by of type dynamic",
    "traces | distinct customDimensions": "of type dynamic",
    "traces | join (requests) on customDimensions": "of type dynamic",
    "traces | where timestamp > '2026-11-22'": "'>' of datetime and string: convert the text, as in todatetime(…)",
    "traces | where severityLevel": "where of int",
    "traces | where strlen(message)": "where of long",
    "print datetime(2026-13-45)": "datetime(2026-13-45) is not a literal",
    "traces | summarize sum(message)": "sum() of string",
    "traces | where message > 3": "'>' of string and long",
    "traces | where message > 'a'": "use strcmp()",
    "print -'a'": "the sign - of string",
    "print now() + now()": "'+' of datetime and datetime",
    "print 5m * 5m": "'*' of timespan and timespan",
    "print coalesce('a', 3)": "coalesce() of different types",
    "traces | take -1": "a number of rows below 0",
    "traces | project-away nosuch": "no column 'nosuch'",
    "print x = y": "no column 'y'",
    "union App*, traces": "tables of a workspace (App…) and of a resource are the same records",
    "union nosuch*": "no table matches 'nosuch*'",
    "union (print a = 'x'), (print a = 1)": "'a' is string and long",
    "traces | evaluate bag_unpack(customDimensions)": "it does not support the operator 'evaluate': name the members",
    "traces | where (": "instead of the end at line 1, column 17",
    "traces | wherex": "an operator is expected",
    "print a = 1, A = 2": "which differ only in their case",
    "print ['_kql_x'] = 1": "a column with the name '_kql_x'",
    "datatable(a: timespan)[1h] | summarize stdev(a)": "stdev() of timespan",
    "print 1.5 % 1.0": "'%' of real numbers",
    "print dynamic({'a': 1}) == 1": "convert the dynamic value, as in tolong(…)",
    "": "the query is empty",
    "let x = 1;": "a query is expected after the last let",
    "let f = (x: long) { nosuch }; print 1": "no column 'nosuch'",
    "print strcat('a',)": "an expression is expected",
    "datatable(asc: long)[]": "'asc' is a word of KQL",
    "range title from 1 to 2 step 1": "'title' is a word of KQL",
    "print last = 1": "'last' is a word of KQL: as a name it is ['last']",
    "print x = 1 | where title == 1": "'title' is a word of KQL",
    ";print 1": "a table is expected",
    "print 'a' 'b'": "two string literals",
    "traces | render nosuch": "render nosuch",
    "search 'x'": "the operator 'search': name the tables and columns",
    "traces | sample 3": "the operator 'sample': use take. Query the service",
    "traces | summarise count()": "Did you mean 'summarize'?",
    "traces | extend n = len(message)": "there is no function len(). Did you mean strlen()?",
    "traces | extend n = todecimal(message)": "the function todecimal(): use toreal()",
    "requests | where duration > 1s": "'>' of real and timespan: divide the timespan, as in 1s / 1ms",
    "traces | summarize sum(customDimensions.x)": "as in toreal(…)",
    "print x = decimal(1)": "the type decimal",
    f"print {'(' * 70}1{')' * 70}": "nested too deeply",
    "print 'a\\ud83d'": "half of a character",
    "set x; traces": "the statement 'set'",
    "print x = tostring(1e300)": "the text of a real number",
}  # fmt: skip


@pytest.mark.parametrize("kql", ANSWERS)
def test_answers(run: Run, kql: str) -> None:
    """Each query has the rows of the reference."""
    if "description" in kql:
        kql = "datatable(description: string)['a', 'b'] | sort by description asc"
        assert run(kql) == [["a"], ["b"]]
        return
    answer = run(kql)
    expected = ANSWERS[kql]
    assert str(answer).replace("nan", "None") == str(expected).replace("nan", "None")


@pytest.mark.parametrize("kql", REJECTED)
def test_rejected(run: Run, kql: str) -> None:
    """Each invalid or unsupported query is rejected with a message that names the cause."""
    with pytest.raises(UsageError) as raised:
        run(kql)
    assert REJECTED[kql] in str(raised.value)


def test_types_are_those_of_the_service(table: Callable[[str], Table]) -> None:
    """Each value has the Python type of its column, and an empty answer has the same columns."""
    kql = (
        "print a = 1, b = int(1), c = 1.5, d = true, e = 'x', f = datetime(2026-01-01), g = 1h, "
        "h = guid(74be27de-1e4e-49d9-b579-fe0b331d3642), i = dynamic([1, 'a'])"
    )
    answer = table(kql)
    assert [column.type for column in answer.columns] == [
        "int", "int", "real", "bool", "text", "time", "timespan", "text", "dynamic",
    ]  # fmt: skip
    assert list(answer[0].values()) == [
        1, 1, 1.5, True, "x", datetime(2026, 1, 1, tzinfo=timezone.utc), HOUR,
        "74be27de-1e4e-49d9-b579-fe0b331d3642", [1, "a"],
    ]  # fmt: skip
    assert table(f"{kql} | where a > 1").columns == answer.columns


def test_both_dialects(journal: Callable[..., Path]) -> None:
    """The names of both dialects read the same records. A wildcard has one dialect."""
    path = journal(log("a"), log("b\x85c", 3), failure("no"), step("train"), "torn\n")
    store = connect(path.parent).store
    answer = store.query("traces | summarize n = count() by severityLevel | order by severityLevel asc")
    assert answer.to_dicts() == [{"severityLevel": 1, "n": 1}, {"severityLevel": 3, "n": 1}]
    assert len(answer.notes) == 1
    assert store.query('AppTraces | where Message == "b\\u0085c" | count').value == 1
    for kql in ("union * | count", "union App* | count", "union traces, requests, exceptions | count"):
        assert store.query(kql).value == 4


def test_control_commands_are_rejected(kql_journal: Path) -> None:
    """A query creates no database file and no table, even after a comment."""
    store, created = connect(str(kql_journal)).store, kql_journal.parent / "made.duckdb"
    for query in (
        f".create database X persist (@'{created}')",
        f"// comment\n .create database X persist (@'{created}') ifnotexists",
        ".set T <| print x = 1",
        ".show databases",
    ):
        with pytest.raises(UsageError, match="control commands"):
            store.query(query)
    assert not created.exists()
    with pytest.raises(UsageError, match="NUL"):
        store.query("print x = '\0 9\0'")


def test_compiling_is_bounded() -> None:
    """Definitions that double are rejected before they need memory, and long chains are not nested."""
    lets = "".join(f"let s{i + 1} = strcat(s{i}, s{i}); " for i in range(40))
    functions = "".join(f"let f{i + 1} = (x: long) {{ f{i}(f{i}(x)) }}; " for i in range(29))
    values = ", ".join(map(str, range(20_000)))
    for kql in (
        f"let s0 = 'ab'; {lets}print s40",
        f"let f0 = (x: long) {{ x }}; {functions}print f29(1)",
        f"let s = strcat({', '.join(['now()'] * 60)}); print {', '.join(['s'] * 20_000)}",
        f"let s = strlen(strcat({', '.join(['now()'] * 60)})); print s in ({values})",
        f"let t = (print x = '{'a' * 50_000}'); union {', '.join(['t'] * 20_000)}",
    ):
        with pytest.raises(KqlError, match=r"too (complex|deeply)"):
            compile_kql(kql, {})
    compiled = compile_kql(
        f"traces | where {' or '.join(f'itemCount == {n}' for n in range(2000))}", schema(workspace=False)
    )
    assert compiled.tables == {"traces"}


QUERIES = st.sampled_from([kql for kql in (*ANSWERS, *REJECTED) if len(kql) < 300])
PIECES = st.one_of(
    st.text(max_size=3),
    st.sampled_from(["(", ")", "|", "'", "[0]", " == ", "null", "-1", "1d", "typeof(long)", "*"]),
)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
@given(kql=QUERIES, other=QUERIES, piece=PIECES, places=st.tuples(*[st.integers(0, 300)] * 4))
def test_any_text_has_rows_or_a_message(
    run: Run, kql: str, other: str, piece: str, places: tuple[int, int, int, int]
) -> None:
    """A changed query has rows or a UsageError, which is not a fault of the engine."""
    first, second, start, end = places
    changed = kql[:first] + piece + kql[first + second % 4 :] + other[start : start + end % 12]
    try:
        run(changed)
    except UsageError as error:
        if "internal fault" in str(error):
            pytest.fail(f"{changed}: {error.__cause__}")
