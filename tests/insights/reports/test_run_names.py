"""Short names of runs: `last`, `last~1` and the beginning of an id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import log  # isort: skip


@pytest.fixture
def insights(journal: Callable[..., Path]) -> Insights:
    """Return three runs. The ids of two begin alike, and the run that is written first began last."""
    began = {"93102f5a": "12", "93102ccc": "10", "4c0de": "11"}
    lines = [
        log("x", time=f"2026-11-22T{hour}:00:00Z", parent_run_id=run, step_id=f"s_{run}")
        for run, hour in began.items()
    ]
    return Insights(PythonStore([journal(*lines).parent]))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("last", "93102f5a"), ("last~0", "93102f5a"), ("last~1", "4c0de"), ("last~2", "93102ccc"), ("4", "4c0de"),
        ("93102f", "93102f5a"), ("93102ccc", "93102ccc"), ("s_4", "s_4c0de"), ("all", ""), ("", ""),
    ],
)  # fmt: skip
def test_names(insights: Insights, name: str, run: str) -> None:
    """`last` counts runs by their beginning, and the beginning of an id selects runs before steps."""
    assert insights.named(name) == run


def test_filters(insights: Insights) -> None:
    """A filter selects the runs that `last` counts."""
    assert insights.named("last", until="2026-11-22T11:30:00Z") == "4c0de"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("93102", r"93102 is ambiguous \(93102ccc, 93102f5a\): use more characters of the id"),
        ("s_", r"s_ is ambiguous \(s_93102ccc, s_4c0de, s_93102f5a"),
        (
            "zz",
            r"no run or step begins with zz; there are 3 runs: 93102f5a \(open\), 4c0de \(open\), 93102ccc",
        ),
        ("last~3", "last~3: there are 3 runs: 93102f5a"),
        ("last~", "no run or step begins with last~"),
    ],
)
def test_errors(insights: Insights, name: str, message: str) -> None:
    """The error lists the candidates or the known runs."""
    with pytest.raises(UsageError, match=message):
        insights.named(name)


def test_no_records(tmp_path: Path) -> None:
    """Without records, there is no last run."""
    with pytest.raises(UsageError, match="no records of any run yet"):
        Insights(PythonStore([tmp_path])).named("last")


def test_records_of_no_run(journal: Callable[..., Path]) -> None:
    """`last` selects all records if none of them has a run id."""
    path = journal(log("x", parent_run_id="", step_id=""))
    assert Insights(PythonStore([path])).named() == ""


def test_many_candidates_are_counted(journal: Callable[..., Path]) -> None:
    """The error lists ten candidates and counts the others."""
    lines = [log("x", parent_run_id=f"run_{number}", step_id=f"step_{number}") for number in range(13)]
    with pytest.raises(UsageError, match=r"and 3 more\): use more"):
        Insights(PythonStore([journal(*lines)])).named("run_")


@pytest.mark.parametrize("name", ["last", "last~3", "run_9"])
def test_unread_files_are_named(journal: Callable[..., Path], tmp_path: Path, name: str) -> None:
    """The error for an unknown run names the files that could not be read, because the run may be in them."""
    path = journal("hello\n")
    (path.parent / "20261122T110000-node-1-abcdef.jsonl").symlink_to(tmp_path)
    for store in (DuckDBStore, PythonStore):
        with pytest.raises(UsageError, match=r"not read: .*is a symbolic link, 1 line could not be read"):
            Insights(store([path.parent])).named(name)
