"""The store that needs nothing: the same answers as DuckDB's."""

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


def plain(path: Path) -> Insights:
    """The questions without DuckDB."""
    return Insights(PythonStore([path]))


def told(table: Any) -> list[str]:
    """Rows of one order, NaN equal to itself."""
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in table)


@pytest.fixture
def both(journal: Callable[..., Path]) -> tuple[Insights, Insights]:
    """The questions by both stores, over records of ours and of other SDKs."""
    pytest.importorskip("duckdb")
    from amllog.insights.stores.local.duckdb_store import DuckDBStore

    from ...test_questions import everything
    from .test_duckdb_views import DOTNET_EXCEPTION, JAVASCRIPT_DEPENDENCY

    odd = [log("odd", severity, step_id="s4") for severity in (None, "Warning", "?", 5, "3", 0)]
    bare = {"time": "2026-11-22T11:00:00Z", "data": {"baseType": "MessageData", "baseData": {"message": 7}}}
    failed = step("publish", success=False, step_id="s5", duration="x")
    path = journal(
        *everything(), DOTNET_EXCEPTION, JAVASCRIPT_DEPENDENCY, *odd, bare, failed, "torn\n", "[]\n"
    ).parent
    return plain(path), Insights(DuckDBStore([path]))


@pytest.mark.parametrize(
    "name",
    ["runs", "steps", "logs", "errors", "exceptions", "metrics", "spans", "events", "count", "timeline", "records",
     "last_metrics"],
)  # fmt: skip
@pytest.mark.parametrize("narrow", NARROW, ids=repr)
def test_both_stores_agree(both: tuple[Insights, Insights], name: str, narrow: dict[str, Any]) -> None:
    """Each question, narrowed down in each way: the same columns and rows, the same note of torn lines."""
    one, other = (getattr(asked, name)(**narrow) for asked in both)
    assert one.names == other.names
    assert told(one) == told(other)
    assert bool(one.notes) >= bool(one)


@pytest.mark.parametrize("name", ["records", "last_metrics"])
def test_the_kql_of_its_own_questions(both: tuple[Insights, Insights], name: str) -> None:
    """In both dialects it gives the rows of the SQL."""
    pytest.importorskip("duckdb_kql")
    from ...test_questions import assert_both_engines_agree

    assert_both_engines_agree(both[1], getattr(both[1], name)(RUN))


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_both_stores_agree_on_levels(both: tuple[Insights, Insights], level: str) -> None:
    """Also where a record has no severity, or one that nobody knows."""
    one, other = (asked.logs(level=level) for asked in both)
    assert told(one) == told(other) != []


def test_order_and_limit(journal: Callable[..., Path]) -> None:
    """In time order, or the newest first; records of one instant as they were written."""
    path = journal(*(log(str(number)) for number in range(5)), log("early", time="2026-11-22T09:00:00Z"))
    asked = plain(path)
    assert [row["message"] for row in asked.logs()] == ["early", "0", "1", "2", "3", "4"]
    found = asked.logs(limit=2, newest_first=True)
    assert [row["message"] for row in found] == ["4", "3"]
    assert found.notes == ("the limit of 2 rows is reached: there may be more",)
    assert [row["records"] for row in asked.count(by="message")] == [1] * 6


def test_a_record_in_two_files_counts_once_and_what_grows_is_read(
    journal: Callable[..., Path], tmp_path: Path
) -> None:
    """A file that was written to since is read again."""
    path = journal(log("one"), failure("two"))
    (tmp_path / "j" / "copy.jsonl").write_bytes(path.read_bytes())
    asked = plain(tmp_path / "j")
    assert int(asked.count()) == 2
    with path.open("a") as file:
        file.write(json.dumps(envelope("MessageData", {"message": "three"})) + "\n")
    assert [row["message"] for row in asked.logs()] == ["one", "two", "three"]


def test_free_kql_says_what_to_install(tmp_path: Path) -> None:
    """There is no KQL in Python."""
    with pytest.raises(UsageError, match=r"pip install 'amllog\[insights\]'"):
        PythonStore([tmp_path]).query("traces")


def test_what_it_cannot_read_is_told(journal: Callable[..., Path]) -> None:
    """Compacted runs whose journals are gone are counted, and so is a file that is not for us; later it is read."""
    pytest.importorskip("duckdb")
    from amllog.insights.stores.local.compaction import compact

    path = journal(log("one"), log("two"))
    compact(path.parent, idle=timedelta(0))
    asked = plain(path.parent)
    assert (asked.count().notes, int(asked.count())) == ((), 2)
    path.rename(path.parent / "elsewhere")
    told = "2 records of compacted runs left out, which only DuckDB reads: pip install 'amllog[insights]'"
    assert (asked.count().notes, int(asked.count())) == ((told,), 0)
    (path.parent / "elsewhere").rename(path)
    lone = Path(path.parent, "20261123T100000-node-9-abcdef.jsonl")
    (lone / "folder").mkdir(parents=True)  # reading it fails, whoever asks
    (note,) = asked.count().notes
    assert note.startswith("not read: ") and lone.name in note
    shutil.rmtree(lone)
    lone.write_text(json.dumps(log("three")) + "\n")
    assert (asked.count().notes, int(asked.count())) == ((), 3)


def test_dimensions_that_look_like_a_direction(journal: Callable[..., Path]) -> None:
    """`-fold` is a dimension's name where it is one: it does not fall, nor is it looked for without its sign."""
    asked = plain(journal(*(log("one", **{"-fold": fold}) for fold in "213")))
    assert [row["-fold"] for row in asked.count(by="-fold")] == ["1", "2", "3"]
