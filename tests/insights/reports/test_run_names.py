"""Short names for runs: `last`, `last~1`, the beginning of an id."""

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
    """Three runs; the ids of two begin alike, and the one that is written first began last."""
    began = {"93102f5a": "12", "93102ccc": "10", "4c0de": "11"}
    lines = [
        log("x", time=f"2026-11-22T{hour}:00:00Z", parent_run_id=run, step_id=f"s_{run}")
        for run, hour in began.items()
    ]
    return Insights(PythonStore([journal(*lines).parent]))


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("last", "93102f5a"), ("last~0", "93102f5a"), ("last~1", "4c0de"), ("last~2", "93102ccc"), ("4", "4c0de"),
        ("93102f", "93102f5a"), ("93102ccc", "93102ccc"), ("s_4", "s_4c0de"), ("all", ""), ("", ""),
    ],
)  # fmt: skip
def test_names(insights: Insights, name: str, whole: str) -> None:
    """Runs by when they began, the last first; ids by their beginning, of runs first, then of steps."""
    assert insights.named(name) == whole


def test_which_runs_count(insights: Insights) -> None:
    """`last` of a time is the last that there was in it."""
    assert insights.named("last", until="2026-11-22T11:30:00Z") == "4c0de"


@pytest.mark.parametrize(
    ("name", "said"),
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
def test_what_names_nothing(insights: Insights, name: str, said: str) -> None:
    """The candidates, or what there is."""
    with pytest.raises(UsageError, match=said):
        insights.named(name)


def test_nothing_there(tmp_path: Path) -> None:
    """Without any record there is no last run."""
    with pytest.raises(UsageError, match="no records of any run yet"):
        Insights(PythonStore([tmp_path])).named("last")


def test_records_of_no_run(journal: Callable[..., Path]) -> None:
    """What other handlers wrote belongs to no run: all of it is the last."""
    path = journal(log("x", parent_run_id="", step_id=""))
    assert Insights(PythonStore([path])).named() == ""


def test_many_candidates_are_counted(journal: Callable[..., Path]) -> None:
    """Ten are listed."""
    lines = [log("x", parent_run_id=f"run_{number}", step_id=f"step_{number}") for number in range(13)]
    with pytest.raises(UsageError, match=r"and 3 more\): use more"):
        Insights(PythonStore([journal(*lines)])).named("run_")


@pytest.mark.parametrize("name", ["last", "last~3", "run_9"])
def test_what_cannot_be_read_is_named(journal: Callable[..., Path], tmp_path: Path, name: str) -> None:
    """An error that a run is not known names the files that could not be read: the run may be in them."""
    path = journal("hello\n")
    (path.parent / "20261122T110000-node-1-abcdef.jsonl").symlink_to(tmp_path)
    for store in (DuckDBStore, PythonStore):
        with pytest.raises(UsageError, match=r"not read: .*is a symbolic link, 1 line could not be read"):
            Insights(store([path.parent])).named(name)
