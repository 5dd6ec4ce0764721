"""Limits of a query: rows, bytes, time and memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.insights import connect
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.duckdb_limits import Limits, QueryTimeout

MILLIONS = (
    "range x from 1 to 100000 step 1 | extend k=1 "
    "| join kind=inner (range y from 1 to 100000 step 1 | extend k=1) on k | where x + y < 0 | count"
)
NOTHING = "SELECT 1 AS x"


@pytest.mark.parametrize(("limits", "rows"), [(Limits(rows=3), 3), (Limits(bytes=100), 12)])
def test_a_long_answer_ends_at_its_limits(limits: Limits, rows: int) -> None:
    """Rows are computed as they are fetched, up to the limits. The next query is complete."""
    engine = Engine()
    answer = engine.run_kql("range x from 1 to 5000000 step 1", NOTHING, limits=limits)
    assert len(answer.rows) == rows and answer.reached
    answer = engine.run_kql("range x from 1 to 3 step 1 | order by x desc", NOTHING, limits=limits)
    assert (answer.rows, answer.reached) == ([(3,), (2,), (1,)], "")


def test_the_table_of_a_long_answer_has_a_note(kql_journal: Path) -> None:
    """A store returns at most as many rows as the service, and a note reports that there are more."""
    answer = connect(str(kql_journal)).store.query("range x from 1 to 500001 step 1")
    assert len(answer) == 500_000
    assert answer.notes[-1].startswith("the answer is not complete: it has more than 500000 records")


def test_a_query_ends_at_its_time_limit() -> None:
    """The error comes at once, and the database runs the next query."""
    engine, start = Engine(), time.monotonic()
    with pytest.raises(QueryTimeout, match=r"within 0\.5 s"):
        engine.run_kql(MILLIONS, NOTHING, limits=Limits(seconds=0.5))
    assert time.monotonic() - start < 60
    assert engine.run_kql("print x = 1", NOTHING).rows == [(1,)]


def test_a_cancelled_query_ends() -> None:
    """A cancelled query ends long before its time limit."""
    engine, cancelled = Engine(), threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    with pytest.raises(QueryTimeout):
        engine.run_kql(MILLIONS, NOTHING, limits=Limits(seconds=600, is_cancelled=cancelled.is_set))
    assert cancelled.is_set()


def test_too_little_memory_is_an_error(kql_journal: Path, child: Any) -> None:
    """A command that cannot allocate more memory ends with an error and without a traceback."""
    code = f"""
import resource, sys
from amllog.insights import connect
from amllog.cli.main import main
connect({str(kql_journal)!r}).store.query("print x = 1")
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000,) * 2)
sys.exit(main(["query", "--dir", {str(kql_journal)!r},
    "range x from 1 to 500000 step 1 | extend y = strrep('a', 60), z = strcat('b', x), w = strcat(x, 'c')"]))
"""
    ran = child(code)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr[-2000:]
    assert "memory" in ran.stderr.lower()


def test_a_command_limits_the_memory_of_its_process(kql_journal: Path, child: Any) -> None:
    """A query that no other limit stops ends with an error, and the process grows by at most 2 GB."""
    columns = ", ".join(f"c{number} = strrep('a', 1000000)" for number in range(4))
    code = f"""
import resource, sys
from amllog.cli.main import main
before = resource.getrlimit(resource.RLIMIT_DATA)
code = main(["query", "--dir", {str(kql_journal)!r}, "range i from 1 to 3000 step 1 | extend {columns}"])
assert resource.getrlimit(resource.RLIMIT_DATA) == before
(most,) = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
assert most < 3_000_000, most
sys.exit(code)
"""
    ran = child(code)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr[-2000:]
    assert "memory" in ran.stderr.lower()
