"""KQL, SQL and links of a table are generated when they are read, and only then."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.insights import Questions, connect, links
from amllog.insights.query import kql
from amllog.insights.stores import Unasked

from ..conftest import failure, log, step  # isort: skip

RESOURCE = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"
TEXTS = ("kql", "kql_workspace", "sql", "portal_link")
COUNTING = """
import collections, json, sys
from amllog.insights import connect
from amllog.insights.query import kql, sql

counts = collections.Counter()
GENERATORS = {kql.classic.__code__: "kql", kql.workspace.__code__: "kql", sql.statement.__code__: "sql"}

def count(frame, event, argument):
    if event == "call" and frame.f_code in GENERATORS:
        counts[GENERATORS[frame.f_code]] += 1
    if event == "call" and frame.f_code.co_name == "run" and frame.f_code.co_filename.endswith("duckdb_engine.py"):
        counts["run"] += 1

answers = connect(sys.argv[1])
sys.setprofile(count)
result = getattr(answers, sys.argv[2])()
str(result)
sys.setprofile(None)
before = dict(counts)
sys.setprofile(count)
if sys.argv[2] == "errors":
    for _ in range(2):
        result.kql, result.kql_workspace, result.sql
sys.setprofile(None)
print(json.dumps([before, counts]))
"""


@pytest.mark.parametrize(("question", "read"), [("errors", {"kql": 2, "sql": 1}), ("story", {})])
def test_an_answer_generates_only_the_sql_that_it_runs(
    question: str, read: dict[str, int], journal: Callable[..., Path]
) -> None:
    """An answer generates no KQL and one SQL statement per query that runs. Reading generates each text once."""
    pytest.importorskip("duckdb")
    path = journal(log("one"), failure("two"), step("train", success=False))
    command = [sys.executable, "-c", COUNTING, str(path), question]
    before, after = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert 0 < before["sql"] <= before["run"] and "kql" not in before
    assert {name: count - before.get(name, 0) for name, count in after.items()} == {
        "run": 0,
        "sql": 0,
        **read,
    }


def test_texts_of_a_table_survive_copies(journal: Callable[..., Path]) -> None:
    """A pickled, copied or replaced table is equal and has the same texts, read before or not."""
    path = journal(log("one"), failure("two"))
    table = connect(path, environ={"AMLLOG_RESOURCE_ID": RESOURCE}).errors(last="100w")
    copies = [pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table), replace(table)]
    texts = [getattr(table, name) for name in TEXTS]
    copies.append(pickle.loads(pickle.dumps(table)))
    assert all(copied == table for copied in copies)
    assert all([getattr(copied, name) for name in TEXTS] == texts for copied in copies)
    assert table.noting("a note").kql == table.kql


def test_a_link_ends_at_the_time_of_the_answer() -> None:
    """Copies of a table have the same link to a time range without an end, whenever each link is read."""
    table = Questions(Unasked(), links.Portal.of(RESOURCE)).errors(since="2026-11-22")
    copied = copy.deepcopy(table)
    link = table.portal_link
    time.sleep(0.01)  # links have milliseconds
    assert copied.portal_link == link


def test_texts_are_those_of_the_query() -> None:
    """The KQL is that of the question, a link leads to it, and a store that runs nothing has no SQL."""
    table = Questions(Unasked(), links.Portal.of(RESOURCE)).errors(run_type="training")
    query = table.texts._query
    assert query is not None
    assert (table.kql, table.kql_workspace, table.sql) == (kql.classic(query), kql.workspace(query), "")
    assert table.portal_link == links.logs(RESOURCE, table.kql, last=links._RETENTION)
