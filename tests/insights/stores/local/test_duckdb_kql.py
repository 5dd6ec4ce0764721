"""KQL in forms that duckdb-kql does not read itself, and control commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.duckdb_kql import adapt_kql
from amllog.insights.stores.store import Store

from ...conftest import failure, log, step  # isort: skip

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="duckdb-kql needs Python 3.11")


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


def test_multi_line_and_obfuscated_strings(kql_journal: Path) -> None:
    """Multi-line and obfuscated strings are equal to plain strings."""
    query = 'print a = ```one\n"two" \\n```, b = h\'abc\', c = H@"d\\e", d = ~~~x```y~~~, e = \'h"f"\' // ```'
    (row,) = connect(str(kql_journal)).store.query(query)
    assert tuple(row.values()) == ('one\n"two" \\n', "abc", "d\\e", "x```y", 'h"f"')


def test_a_range_of_real_numbers_is_rejected(kql_journal: Path) -> None:
    """duckdb-kql would translate it to a range of integers, and a step of 0.5 to none."""
    store = connect(str(kql_journal)).store
    for query in ("range x from 1.0 to 1.0e18 step 1.0e-9 | take 1", "range x from 0 to todouble(2) step 1"):
        with pytest.raises(UsageError, match="a range of real numbers"):
            store.query(query)
    assert len(store.query("range x from 1 to 3 step 1 | extend y = tolong(todouble(x) * 1.5)")) == 3
    assert len(store.query("range t from bin(ago(2h), 1h) to bin(now(), 1h) step 1h * 2")) == 2


def test_lists_of_dynamic_values(kql_journal: Path) -> None:
    """Strings in a list have no quotes of JSON."""
    query = "traces | summarize a = make_list(message) | mv-expand a | summarize b = make_list(a)"
    assert connect(str(kql_journal)).store.query(query)[0]["b"] == ["hello"]


def test_free_kql(journal: Callable[..., Path]) -> None:
    """Microsoft's queries run over both names of the tables, and errors contain the reason."""
    pytest.importorskip("duckdb_kql")
    path = journal(log("a"), log("b\x85c", 3), failure("no"), step("train"), "torn\n")
    store: Store = connect(path.parent).store
    table = store.query("traces | summarize n = count() by severityLevel | order by severityLevel asc")
    assert (table.to_dicts(), len(table.notes)) == (
        [{"severityLevel": 1, "n": 1}, {"severityLevel": 3, "n": 1}],
        1,
    )
    assert store.query('AppTraces | where Message == "b\\u0085c" | count').value == 1
    assert store.query("union * | count").value == 4
    unsupported = "traces | evaluate bag_unpack(customDimensions)"
    for invalid in ("traces | wherex", "nothing | take 1", "traces | where nothing == 1", unsupported):
        with pytest.raises(UsageError, match="cannot answer this KQL"):
            store.query(invalid)


@pytest.mark.parametrize(
    ("kql", "expected"),
    [
        (r'"\u0041\\u0041"', r'"A\\u0041"'),
        (r'@"\u0041"', r'@"\u0041"'),
        (r"'\u0041' // \u0041", r"'A' // \u0041"),
    ],
)
def test_escapes_are_decoded_in_plain_literals_only(kql: str, expected: str) -> None:
    """Escapes in verbatim strings, in comments and after a backslash are not decoded."""
    assert adapt_kql(kql) == expected
