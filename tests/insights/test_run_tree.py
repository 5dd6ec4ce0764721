"""The tree of runs, and short names of runs: `last`, `last~1` and the beginning of an id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.questions import Questions
from amllog.insights.run_tree import Link, RunTree
from amllog.insights.stores.local.duckdb_store import DuckDBStore
from amllog.insights.stores.local.python_store import PythonStore
from amllog.record.operation_id import operation_id_of

from .conftest import RUN, failure, log, step  # isort: skip


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


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("last", ["late"]), ("last~1", ["early"]), ("93102", ["early"]), ("93102F5A-5B0C", ["early"]),
        (" 93102f5a\n", ["early"]), ("https://ml.azure.com/runs/4c0de?wsid=/subscriptions/s", ["late"]),
        ("azureml://jobs/4c0de/outputs/artifacts/paths/logs/", ["late"]),
        ("azureml://locations/x/workspaces/y/runs/4c0de", ["late"]),
        ("/subscriptions/s/resourceGroups/runs/providers/Microsoft.MachineLearningServices/jobs/4c0de", ["late"]),
        ("https://mlworkspace.azure.ai/portal/subscriptions/s/experiments/e/runs/4c0de", ["late"]),
        ("all", ["early", "late"]), (["93102", "4c"], ["early", "late"]), (None, ["early", "late"]),
    ],
)  # fmt: skip
def test_names_in_python(journal: Callable[..., Path], store: Any, name: Any, messages: list[str]) -> None:
    """A question accepts the names of the command line, an id in another case, and the addresses of a run."""
    path = journal(
        failure("early", parent_run_id="93102f5a-5b0c", step_id="s0"),
        failure("late", "2026-11-22T11:00:00Z", parent_run_id="4c0de", step_id="s1"),
    )
    questions = Questions(store([path.parent]))
    assert [row["message"] for row in questions.errors(name)] == messages
    assert int(questions.count(name)) == len(messages) == len(questions.steps(name))


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
def test_an_unknown_name_is_an_error_in_python(journal: Callable[..., Path], store: Any) -> None:
    """No question answers an unknown name with zero rows. A known id without rows in a time range is no error."""
    questions = Questions(store([journal(log("x"), log("y", step_id="s2")).parent]))
    for question in (questions.errors, questions.logs, questions.steps, questions.count, questions.metrics):
        for name in ("nope", "last~1", ["s1", "nope"]):
            with pytest.raises(UsageError, match=r"nope|last~1"):
                question(name)
    assert len(questions.logs(RUN, until="2026-11-22T09:00:00Z")) == 0


LINKS = {
    "a root run in the record": {"parent_run_id": "HD_1", "root_run_id": "pipe"},
    "a chain of parents": {"parent_run_id": "HD_1"},
    "only the operation": {"parent_run_id": "HD_2"},
}


@pytest.mark.parametrize("store", [DuckDBStore, PythonStore])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_root_includes_everything_below_it(journal: Callable[..., Path], store: Any, link: Any) -> None:
    """The failure of a trial below a pipeline is an error of the pipeline, however its records name their place."""
    trial = failure("trial failed", "2026-11-22T10:00:02Z", step_id="HD_1_0", step_name="trial", **link)
    trial["tags"]["ai.operation.id"] = operation_id_of("pipe")
    path = journal(
        step("prepare", step_id="s0", step_name="prepare", parent_run_id="pipe"),
        step("sweep", step_id="HD_1", step_name="sweep", parent_run_id="pipe"),
        trial,
        step("trial", success=False, time="2026-11-22T10:00:01Z", step_id="HD_1_0", step_name="trial", **link),
        failure("deep", "2026-11-22T10:00:03Z", step_id="child", parent_run_id="HD_1_0"),
        log("other", time="2026-11-22T09:00:00Z", parent_run_id="other", step_id="other_s"),
    )  # fmt: skip
    insights = Insights(store([path.parent]))
    for name in ("pipe", "last", "pi"):
        assert [row["message"] for row in insights.errors(name)][-2:] == ["trial failed", "deep"], name
    runs = insights.runs()
    assert [(row["parent_run_id"], row["state"]) for row in runs] == [("other", "open"), ("pipe", "failed")]
    assert (runs[1]["steps"], runs[1]["records"], runs[1]["errors"]) == (4, 5, 3)
    assert insights.named("last~1") == "other" and insights.named("HD_1_").root == "pipe"
    story = insights.story("pipe")
    assert story.failure is not None and story.failure["message"] == "trial failed"
    assert len(insights.journals("pipe") if insights.journals else [path]) == 1


def test_a_cycle_ends() -> None:
    """Records that name each other as parents do not stop an answer."""
    tree = RunTree([Link("a", "b", ""), Link("b", "a", ""), Link("c", "c", "c"), Link("d", "e", "d")])
    assert tree.chain("a") == ["a", "b"] and set(tree.family("a")) == {"a", "b"}
    assert {"c", "d"} < {*tree.runs} and tree.family("d") == ("d",)


def test_runs_that_may_be_below_another_one(journal: Callable[..., Path]) -> None:
    """A note names the runs of the same root whose place in it is not known."""
    path = journal(
        log("x", parent_run_id="pipe", step_id="sub"), log("x", parent_run_id="sub", step_id="s1"),
        failure("x", parent_run_id="HD_9", step_id="HD_9_0", root_run_id="pipe"),
    )  # fmt: skip
    questions = Questions(PythonStore([path]))
    assert questions.errors("sub").notes[-1] == "runs of pipe that may be below sub: HD_9"
    assert len(questions.errors("pipe")) == 1 and questions.errors("pipe").notes == ()


IDS = st.sampled_from(["a", "b", "ab", "HD_1", "HD_1_0", "pipe", ""])


@given(st.lists(st.builds(Link, IDS, IDS, IDS, IDS.map(operation_id_of)), max_size=8))
def test_any_links_form_a_tree(links: list[Link]) -> None:
    """Each run has one root, which is a run. Its family contains every parent below it."""
    tree = RunTree(links)
    for parent in tree.parents:
        *_, top = tree.chain(parent)
        assert top in tree.runs
        assert parent in tree.family(parent)
        for above in tree.chain(parent):
            assert parent in tree.family(above)


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
        (
            "HEAD~1",
            r"no run or step begins with HEAD~1 \(last is the last run, last~1 the one before\); there",
        ),
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
