"""The store without DuckDB has the same answers as the one with DuckDB."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.stores.local.python_store import PythonStore

from ...conftest import RUN, envelope, failure, log, step  # isort: skip

NARROW: list[dict[str, Any]] = [
    {}, {"parent_run_id": RUN}, {"since": "2026-11-22T10:00:04Z", "until": "2026-11-23"}, {"contains": "HELLO"},
    {"where": {"fold": ["3", ""]}, "step_name": "train"}, {"where": {"fold": "3"}}, {"experiment_name": ""},
]  # fmt: skip


def python_insights(path: Path) -> Insights:
    """Return the questions without DuckDB."""
    return Insights(PythonStore([path]))


def comparable(table: Any) -> list[str]:
    """Return rows in one order, in which NaN equals itself."""
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in table)


@pytest.fixture
def both(journal: Callable[..., Path]) -> tuple[Insights, Insights]:
    """Return the questions over both stores, for records of amllog and of other SDKs."""
    pytest.importorskip("duckdb")
    from amllog.insights.stores.local.duckdb_store import DuckDBStore

    from ...test_questions import everything
    from .test_duckdb_views import DOTNET_EXCEPTION, JAVASCRIPT_DEPENDENCY

    severities = [log("odd", severity, step_id="s4") for severity in (None, "Warning", "?", 5, "3", 0)]
    bare = {"time": "2026-11-22T11:00:00Z", "data": {"baseType": "MessageData", "baseData": {"message": 7}}}
    failed = step("publish", success=False, step_id="s5", duration="x")
    path = journal(
        *everything(), DOTNET_EXCEPTION, JAVASCRIPT_DEPENDENCY, *severities, bare, failed, "torn\n", "[]\n"
    ).parent
    return python_insights(path), Insights(DuckDBStore([path]))


@pytest.mark.parametrize(
    "name",
    ["runs", "steps", "logs", "errors", "exceptions", "metrics", "spans", "events", "count", "timeline", "records",
     "last_metrics"],
)  # fmt: skip
@pytest.mark.parametrize("narrow", NARROW, ids=repr)
def test_both_stores_agree(both: tuple[Insights, Insights], name: str, narrow: dict[str, Any]) -> None:
    """Each question with each filter has the same columns and rows in both, and a note on torn lines."""
    ours, theirs = (getattr(insights, name)(**narrow) for insights in both)
    assert ours.names == theirs.names
    assert comparable(ours) == comparable(theirs)
    assert bool(ours.notes) >= bool(ours)


@pytest.mark.parametrize("name", ["records", "last_metrics"])
def test_the_kql_of_report_questions(both: tuple[Insights, Insights], name: str) -> None:
    """The KQL of both dialects returns the rows of the SQL."""
    pytest.importorskip("duckdb")
    from ...test_questions import assert_both_engines_agree

    assert_both_engines_agree(both[1], getattr(both[1], name)(RUN))


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_both_stores_agree_on_levels(both: tuple[Insights, Insights], level: str) -> None:
    """Records without a severity, and with an unknown one, are included."""
    ours, theirs = (insights.logs(level=level) for insights in both)
    assert comparable(ours) == comparable(theirs) != []


def test_order_and_limit(journal: Callable[..., Path]) -> None:
    """Rows are in time order or newest first. Records of one time are in the order of writing."""
    path = journal(*(log(str(number)) for number in range(5)), log("early", time="2026-11-22T09:00:00Z"))
    insights = python_insights(path)
    assert [row["message"] for row in insights.logs()] == ["early", "0", "1", "2", "3", "4"]
    table = insights.logs(limit=2, newest_first=True)
    assert [row["message"] for row in table] == ["4", "3"]
    assert table.notes == ("the limit of 2 rows is reached: there may be more",)
    assert [row["records"] for row in insights.count(by="message")] == [1] * 6


def test_copies_count_once_and_grown_files_are_read(journal: Callable[..., Path], tmp_path: Path) -> None:
    """A file that was appended to is read again."""
    path = journal(log("one"), failure("two"))
    (tmp_path / "j" / "copy.jsonl").write_bytes(path.read_bytes())
    insights = python_insights(tmp_path / "j")
    assert int(insights.count()) == 2
    with path.open("a") as file:
        file.write(json.dumps(envelope("MessageData", {"message": "three"})) + "\n")
    assert [row["message"] for row in insights.logs()] == ["one", "two", "three"]


def test_free_kql_names_the_extra(tmp_path: Path) -> None:
    """Python cannot run KQL, and the error has the install command."""
    with pytest.raises(UsageError, match=r"pip install 'amllog\[insights\]'"):
        PythonStore([tmp_path]).query("traces")


def test_unreadable_records_are_in_the_notes(journal: Callable[..., Path]) -> None:
    """Compacted runs without journal files are counted, and an unreadable file is named until it is readable."""
    pytest.importorskip("duckdb")
    from amllog.insights.stores.local.compaction import compact

    path = journal(log("one"), log("two"))
    compact(path.parent, idle=timedelta(0))
    insights = python_insights(path.parent)
    assert (insights.count().notes, int(insights.count())) == ((), 2)
    path.rename(path.parent / "elsewhere")
    note = "2 records of compacted runs left out, which only DuckDB reads: pip install 'amllog[insights]'"
    assert (insights.count().notes, int(insights.count())) == ((note,), 0)
    (path.parent / "elsewhere").rename(path)
    lone = Path(path.parent, "20261123T100000-node-9-abcdef.jsonl")
    (lone / "folder").mkdir(parents=True)  # reading it fails for every user
    (unread,) = insights.count().notes
    assert unread.startswith("not read: ") and lone.name in unread
    shutil.rmtree(lone)
    lone.write_text(json.dumps(log("three")) + "\n")
    assert (insights.count().notes, int(insights.count())) == ((), 3)


def test_a_dimension_with_a_hyphen_sorts_ascending(journal: Callable[..., Path]) -> None:
    """`-fold` is the name of a dimension here, and not a descending order."""
    insights = python_insights(journal(*(log("one", **{"-fold": fold}) for fold in "213")))
    assert [row["-fold"] for row in insights.count(by="-fold")] == ["1", "2", "3"]
