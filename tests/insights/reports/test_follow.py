"""Following a run: nothing twice, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.reports.follow import Watch
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import RUN, log, step, write  # isort: skip


def at(second: int) -> str:
    """A time of that day."""
    return f"2026-11-22T10:{second // 60:02d}:{second % 60:02d}Z"


def append(path: Path, *lines: Any) -> None:
    """More lines for a file."""
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def bare(message: str, second: int) -> Any:
    """A record without an id of its own, as other handlers write it."""
    found = log(message, time=at(second))
    del found["data"]["baseData"]["properties"]["record_id"]
    return found


def test_a_run_from_its_beginning_to_its_end(journal: Callable[..., Path]) -> None:
    """What is there, then what comes; it ends when every step has ended."""
    path = journal(log("one", time=at(0)))
    watched = Insights(PythonStore([path])).watch(seconds=0, quiet_seconds=0)
    assert next(watched)["message"] == "one"
    append(path, log("two", time=at(1)), log("three", time=at(2)))
    assert [next(watched)["message"], next(watched)["message"]] == ["two", "three"]
    append(path, log("four", time=at(3)), step("train", time=at(0)))
    assert [row["message"] for row in watched] == ["four"]


def test_the_last_lines_only(journal: Callable[..., Path]) -> None:
    """What is older does not come later either."""
    path = journal(*(log(str(n), time=at(n)) for n in range(5)), step("train", time=at(0)))
    insights = Insights(PythonStore([path]))
    watched = insights.watch(RUN, seconds=0, quiet_seconds=0, lines=2)
    assert [row["message"] for row in watched] == ["3", "4"]
    assert [row["message"] for row in insights.watch(seconds=0, quiet_seconds=0, lines=9)] == list("01234")
    assert [row["message"] for row in insights.watch(seconds=0, quiet_seconds=0, contains="3")] == ["3"]


def test_what_comes_late(journal: Callable[..., Path]) -> None:
    """A record of an hour ago, of another file, is new all the same."""
    path = journal(log("now", time=at(3500)))
    watch = Watch(Insights(PythonStore([path.parent])), RUN, None, {})
    assert [row["message"] for row in watch.poll()] == ["now"]
    write(
        path.with_name("20261122T090000-other-1-abc.jsonl"),
        log("late", time=at(1)),
        log("new", time=at(3501)),
    )
    assert [row["message"] for row in watch.poll()] == ["late", "new"]
    assert watch.poll() == []


def test_records_that_are_the_same_in_everything(journal: Callable[..., Path]) -> None:
    """As many as there are, also without ids."""
    path = journal(bare("same", 1), bare("same", 1))
    watch = Watch(Insights(PythonStore([path])), RUN, None, {})
    assert len(watch.poll()) == 2
    append(path, bare("same", 1))
    assert len(watch.poll()) == 1
    assert watch.poll() == []


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 600), st.booleans(), st.sampled_from("abc")), max_size=6),
        max_size=5,
    )
)
def test_none_twice_none_lost(batches: list[list[tuple[int, bool, str]]]) -> None:
    """Whatever arrives between two looks, in whatever order, with ids or without."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "20261122T100000-node-1-abcdef.jsonl", log("first", time=at(300)))
        watch = Watch(Insights(PythonStore([path])), "", None, {})
        given_out = [row["message"] for row in watch.poll()]
        for batch in batches:
            append(path, *(log(m, time=at(s)) if own else bare(m, s) for s, own, m in batch))
            given_out += [row["message"] for row in watch.poll()]
    assert sorted(given_out) == sorted(["first", *(m for batch in batches for _s, _own, m in batch)])


def test_ctrl_c_ends_it(journal: Callable[..., Path]) -> None:
    """Quietly, as a `for` that has come to its end."""

    class Interrupted(PythonStore):
        looks = 0

        def answer(self, query: Any) -> Any:
            self.looks += 1
            if self.looks > 6:
                raise KeyboardInterrupt
            return super().answer(query)

    watched: Iterator[Any] = Insights(Interrupted([journal(log("one"))])).watch("all", seconds=0)
    assert [row["message"] for row in watched] == ["one"]


def test_seconds_that_mean_nothing(journal: Callable[..., Path]) -> None:
    """A negative pause is wrong usage."""
    with pytest.raises(UsageError, match="seconds=-1"):
        next(Insights(PythonStore([journal(log("one"))])).watch(seconds=-1))
