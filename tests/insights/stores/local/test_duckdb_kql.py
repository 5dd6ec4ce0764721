"""Free KQL reaches the service's tables only: no files, no settings, no other tables, no commands."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.duckdb_limits import QUERY_MAX, Limits, QueryTimeout

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="duckdb-kql needs Python 3.11")
RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": {"step_id": "s1"}}},
}
SECRET = "TOPSECRET"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal directory with one record, beside a private file."""
    (tmp_path / "private.json").write_text(json.dumps({"word": SECRET}) + "\n")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder


def test_a_query_reads_no_file(journal: Path) -> None:
    """A path as a table's name, in any place of a query, is an error, also if it is a journal's own path."""
    path, own = journal.parent / "private.json", next(journal.iterdir())
    store = connect(str(journal)).store
    for query in (
        f"['{path}'] | take 5",
        f"['file://{path}']",
        f"['{path.parent}/*.json']",
        f"let t = ['{path}']; t",
        f"print x = toscalar(['{path}'] | project word)",
        f"traces | where message !in (['{path}'] | project word)",
        f"traces | join (['{path}'] | extend message = word) on message",
        f"['{path}'] | getschema",
        f"['{own}']",
        "['http://127.0.0.1:9/x.json']",
        f"externaldata(word: string)[@'{path}']",
    ):
        with pytest.raises(UsageError) as raised:
            store.query(query)
        assert SECRET not in str(raised.value)
    assert [row["message"] for row in store.query("traces | project message")] == ["hello"]


def test_a_query_reads_no_table_of_the_engine(journal: Path) -> None:
    """DuckDB's own tables, other databases and Python's variables are unknown tables; the error names the tables."""
    store = connect(str(journal)).store
    for name in ("sqlite_master", "duckdb_views", "pg_class", "pragma_database_list", "records", "os"):
        with pytest.raises(
            UsageError, match=f"Table with name {name} does not exist; the tables are traces, "
        ):
            store.query(name)
    for query in (
        "database('held').records",
        "database('memory').traces",
        "let sqlite_master = sqlite_master; sqlite_master",
    ):
        with pytest.raises(UsageError, match="does not exist"):
            store.query(query)


def test_control_commands_are_rejected(journal: Path) -> None:
    """A query creates no database file and no table, also after a comment."""
    store, made = connect(str(journal)).store, journal.parent / "made.duckdb"
    for query in (
        f".create database X persist (@'{made}')",
        f"// comment\n .create database X persist (@'{made}') ifnotexists",
        ".set T <| print x = 1",
        ".show databases",
    ):
        with pytest.raises(UsageError, match="control commands"):
            store.query(query)
    assert not made.exists()
    with pytest.raises(UsageError, match="NUL"):
        store.query("print x = '\0 9\0'")


def test_the_database_of_a_query_is_locked(journal: Path) -> None:
    """The database that runs free KQL opens no other file and keeps its configuration, whatever SQL it is given."""
    engine = Engine()
    engine.run_kql("print x = 1", "SELECT 1 AS x", files=[next(journal.iterdir())])
    assert engine._sandbox is not None
    connection = engine._sandbox._database.connection
    for statement in (
        f"SELECT * FROM read_text('{journal.parent / 'private.json'}')",
        f"ATTACH '{journal.parent / 'made.duckdb'}' AS made",
        f"COPY (SELECT 1) TO '{journal.parent / 'made.csv'}'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "LOAD httpfs",
        "INSTALL httpfs",
    ):
        with pytest.raises(engine._sandbox._database.error):
            connection.execute(statement)
    assert sorted(path.name for path in journal.parent.iterdir()) == ["journal", "private.json"]


def test_a_file_name_with_wildcards_is_that_file(tmp_path: Path) -> None:
    """`[`, `*` and `?` in the names of directories and files stand for themselves."""
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    (folder / "20261122T205235-n-1-ab*.jsonl").write_text(json.dumps(RECORD) + "\n")
    other = {**RECORD, "data": {"baseType": "MessageData", "baseData": {"message": "other"}}}
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(other) + "\n")
    store = connect(str(folder)).store
    found = store.query("traces | project message | order by message asc")
    assert [row["message"] for row in found] == ["hello", "other"]


MILLIONS = (
    "range x from 1 to 100000 step 1 | extend k=1 "
    "| join kind=inner (range y from 1 to 100000 step 1 | extend k=1) on k | where x + y < 0 | count"
)
NOTHING = "SELECT 1 AS x"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("range x from 1 to 100000000 step 1", "a range of more than"),
        ("range x from 100000000 to 1 step -1 | count", "a range of more than"),
        ("range t from datetime(1000-01-01) to datetime(9999-01-01) step 1s | count", "a range of more than"),
        ("print x = hash_sha256(strrep('a', 900000000))", "a text of more than"),
        ("print x = split(strrep('a,', 10000000), ',')", "a text of more than"),
        ("print x = replace_string(strrep('a', 1000000), 'a', strrep('b', 1000000))", "a text of more than"),
        ("print x = strlen(replace_regex(strrep('a', 1000000), 'a', strrep('b', 400)))", "texts? of more than"),
        ("print x = strlen(replace_regex(strrep('a', 1000), 'a+', strrep(@'\\0', 2000)))", "texts? of more than"),
        ("print x = strrep('a', 100000) | extend y = strcat(" + ", ".join("x" * 64) + ")", "texts? of more than"),
        ("print x = strrep('a', 100000) | extend y = strcat_delim('-', " + ", ".join("x" * 64) + ")",
         "texts? of more than"),
        ("print x = strrep('a', 1000000) | extend y = strcat_array(pack_array(x, x), '-')", "texts? of more than"),
        ("print x = base64_encode_tostring(strrep('a', 1000000))", "texts? of more than"),
        ("print x = strrep('a', 1000000) | extend y = pack_array(" + ", ".join("x" * 64) + ")", "texts? of more than"),
        ("print x = strrep('a', 1000000) | extend y = bag_pack("
         + ", ".join(f"'{number}', x" for number in range(64)) + ")", "texts? of more than"),
        ("print x = pack_array(strrep('a', 1000000)) | extend y = array_concat("
         + ", ".join("x" * 40) + ")", "texts? of more than"),
        ("range i from 1 to 3000 step 1 | extend x = strrep(tostring(i), 200000) | summarize sum(strlen(x))",
         "texts of more than 268435456 bytes at once"),
        ("print x = zip(split(strrep('a,', 100000), ','), split(strrep('a,', 100000), ','))", "texts of more than"),
        ("print x = 1 | extend y = strcat(" + ", ".join("x" * 129) + ")", "more than 128 arguments"),
        ("print x = 'a', y = 'b' | project " + "strrep(x, strlen(" * 9 + "y" + "))" * 9, "too complex"),
        ("union " + ", ".join(["traces"] * 2000) + " | count", "reads tables 2000 times"),
        (f"traces | where message == '{'a' * QUERY_MAX}'", "characters, and the local engine takes"),
        ("let f = (x: string) { strcat(x, x) }; print x = " + "f(" * 25 + "'a'" + ")" * 25, "too complex"),
        ("".join(f"let s{i + 1} = strcat(s{i}, s{i}); " for i in range(25)).join(["let s0 = 'ab'; ", "print s25"]),
         "too complex"),
        ("print x = " + "hash_sha256(" * 8 + "'a'" + ")" * 8, "too complex"),
    ],
)  # fmt: skip
def test_a_query_that_needs_too_much_is_rejected(journal: Path, query: str, told: str) -> None:
    """Before it takes gigabytes: its text, its SQL, the tables that it reads, and what its functions make."""
    with pytest.raises(UsageError, match=told):
        connect(str(journal)).store.query(query)


FUNCTIONS = [
    ("print replace_regex('a1b22', '[0-9]+', @'<\\0>'), replace_regex('aaa', 'b', 'c')", "a<1>b<22>", "aaa"),
    ("print replace_regex(tostring(dynamic(null)), 'a', 'b'), trim(' ', '  a  ')", "", " a "),
    ("traces | project strcat(strcat(strcat(message, 'b'), 'c'), strcat('d', 1))", "hellobcd1"),
    ("traces | project bag_pack('a', bag_pack('b', pack_array(message, strcat(message, 1))))",
     '{"a":{"b":["hello","hello1"]}}'),
    ("print strcat('a', 1, true, dynamic([1, 2])), strcat_delim('-', 'a', 'b', 3)", "a1True[1,2]", "a-b-3"),
    ("print strcat_array(dynamic(['a', 'b', 3]), '-'), base64_encode_tostring('abc')", "a-b-3", "YWJj"),
    ("print split('a,b,,c', ','), extract_all(@'(\\d)', 'a1b2')", ["a", "b", "", "c"], '["1","2"]'),
    ("print bag_pack('a', 1, 'b', 'x', 'c', true), countof('aXbX', 'X', 'regex')", '{"a":1,"b":"x","c":true}', 2),
    ("print array_concat(dynamic([1]), dynamic([2, 'x']), dynamic([3])), pack_array(1, 'a', 2.5)",
     '[1, 2, "x", 3]', '[1,"a",2.5]'),
    ("traces | project pack_array(message, strlen(message), 3), strcat_array(pack_array(message, 'b'), ' ')",
     '["hello",5,3]', "hello b"),
    ("print x = 'v' | project array_length(pack_array(" + ", ".join("x" * 100) + "))", 100),
    ("traces | where message in (" + ", ".join(f"'{one}'" for one in range(300)) + ", 'hello') "
     "| project strcat(" + ", ".join(["message"] * 30) + ")", "hello" * 30),
    ("traces | where message has_any (" + ", ".join(f"'{one}'" for one in range(300)) + ", 'hello') "
     "| project pack_array(message, 1)", '["hello",1]'),
]  # fmt: skip


def test_functions_within_the_limits_work(journal: Path) -> None:
    """What stands in front of DuckDB's own functions changes none of their results."""
    store = connect(str(journal)).store
    (found,) = store.query(
        "print a = strrep('ab', 3), b = strrep('', 5), c = replace_string('a-b', '-', '+')"
    )
    assert tuple(found.values()) == ("ababab", "", "a+b")
    for query, *right in FUNCTIONS:
        assert [list(row.values()) for row in store.query(query)] == [right], query
    for query, count in (
        ("range x from 1 to 5 step 2", 3),
        ("range x from 5 to 1 step -2", 3),
        ("range t from datetime(2026-01-01) to datetime(2026-01-03) step 1d", 3),
        ("let n = toscalar(traces | count); range x from 1 to n step 1", 1),
        ("range x from 1 to 3000000 step 1 | count", 1),
    ):
        assert len(store.query(query)) == count, query


@pytest.mark.parametrize(("limits", "rows"), [(Limits(rows=3), 3), (Limits(bytes=100), 12)])
def test_a_long_answer_is_cut_and_says_so(limits: Limits, rows: int) -> None:
    """Rows are made as they are fetched, up to the limit of rows and of bytes; the next query is a whole one."""
    engine = Engine()
    found = engine.run_kql("range x from 1 to 5000000 step 1", NOTHING, limits=limits)
    assert len(found.rows) == rows and found.reached
    found = engine.run_kql("range x from 1 to 3 step 1 | order by x desc", NOTHING, limits=limits)
    assert (found.rows, found.reached) == ([(3,), (2,), (1,)], "")


def test_the_table_of_a_long_answer_has_a_note(journal: Path) -> None:
    """A store gives as many rows as the service at most, and the note says that there are more."""
    found = connect(str(journal)).store.query("range x from 1 to 500001 step 1")
    assert len(found) == 500_000
    assert found.notes[-1].startswith("the answer is not complete: it has more than 500000 records")


def test_a_query_ends_at_its_time_limit() -> None:
    """An error, at once; the database goes on to answer."""
    engine, began = Engine(), time.monotonic()
    with pytest.raises(QueryTimeout, match=r"within 0\.5 s"):
        engine.run_kql(MILLIONS, NOTHING, limits=Limits(seconds=0.5))
    assert time.monotonic() - began < 60
    assert engine.run_kql("print x = 1", NOTHING).rows == [(1,)]


def test_a_query_ends_when_nobody_wants_it() -> None:
    """Long before its time limit."""
    engine, gone = Engine(), threading.Event()
    threading.Timer(0.5, gone.set).start()
    with pytest.raises(QueryTimeout):
        engine.run_kql(MILLIONS, NOTHING, limits=Limits(seconds=600, is_cancelled=gone.is_set))
    assert gone.is_set()


def test_too_little_memory_is_an_error(journal: Path, child: Any) -> None:
    """Where the process may have no more, the command says so, without a traceback."""
    code = f"""
import resource, sys
from amllog.insights import connect
from amllog.cli.main import main
connect({str(journal)!r}).store.query("print x = 1")
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000,) * 2)
sys.exit(main(["query", "--dir", {str(journal)!r},
    "range x from 1 to 500000 step 1 | extend y = strrep('a', 60), z = strcat('b', x), w = strcat(x, 'c')"]))
"""
    ran = child(code)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr[-2000:]
    assert "memory" in ran.stderr.lower()


def test_a_command_limits_the_memory_of_its_process(journal: Path, child: Any) -> None:
    """What no other limit knows of a query: the command ends with an error, and the process grows by 2 GB at most."""
    columns = ", ".join(f"c{number} = strrep('a', 1000000)" for number in range(4))
    code = f"""
import resource, sys
from amllog.cli.main import main
before = resource.getrlimit(resource.RLIMIT_DATA)
code = main(["query", "--dir", {str(journal)!r}, "range i from 1 to 3000 step 1 | extend {columns}"])
assert resource.getrlimit(resource.RLIMIT_DATA) == before
(most,) = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
assert most < 3_000_000, most
sys.exit(code)
"""
    ran = child(code)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr[-2000:]
    assert "memory" in ran.stderr.lower()


def test_texts_of_several_lines_and_hidden_ones(journal: Path) -> None:
    """They are texts like others."""
    query = 'print a = ```one\n"two" \\n```, b = h\'abc\', c = H@"d\\e", d = ~~~x```y~~~, e = \'h"f"\' // ```'
    (found,) = connect(str(journal)).store.query(query)
    assert tuple(found.values()) == ('one\n"two" \\n', "abc", "d\\e", "x```y", 'h"f"')


def test_a_range_of_real_numbers_is_rejected(journal: Path) -> None:
    """duckdb-kql takes them for whole numbers, and a step of 0.5 for none; elsewhere a query may convert them."""
    store = connect(str(journal)).store
    for query in ("range x from 1.0 to 1.0e18 step 1.0e-9 | take 1", "range x from 0 to todouble(2) step 1"):
        with pytest.raises(UsageError, match="a range of real numbers"):
            store.query(query)
    assert len(store.query("range x from 1 to 3 step 1 | extend y = tolong(todouble(x) * 1.5)")) == 3
    assert len(store.query("range t from bin(ago(2h), 1h) to bin(now(), 1h) step 1h * 2")) == 2


def test_lists_of_dynamic_values(journal: Path) -> None:
    """Texts in them have no quotes of JSON."""
    query = "traces | summarize a = make_list(message) | mv-expand a | summarize b = make_list(a)"
    assert connect(str(journal)).store.query(query)[0]["b"] == ["hello"]


INTERRUPTED = """
import random, signal
from amllog.insights.stores.local.duckdb_engine import Engine
class Stop(Exception): pass
fired = reached = 0

def stop(number, frame):
    global fired
    fired += 1
    raise Stop

def work(before):
    while fired == before:
        Engine().run_kql("print 1", "SELECT 1")

signal.signal(signal.SIGALRM, stop)
random.seed(1)
Engine().run_kql("print 1", "SELECT 1")
for _ in range(60):
    before = fired
    try:
        signal.setitimer(signal.ITIMER_REAL, random.random() * 0.05 + 1e-5)
        work(before)
    except Stop:
        reached += 1
print(fired, reached)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")
def test_what_a_signal_handler_raises_reaches_the_caller(child: Any) -> None:
    """A signal at any moment of a query, also while its database is made: the caller gets what the handler raised."""
    pytest.importorskip("duckdb_kql", reason="needs Python 3.11")
    assert child(INTERRUPTED).stdout == "60 60\n"
