"""Following a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from amllog.errors import UsageError
from amllog.insights.insights import Insights
from amllog.insights.reports.follow import Watch
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import RUN, append, log, step, write  # isort: skip


def time_of(second: int) -> str:
    """Return a time of that day."""
    return f"2026-11-22T10:{second // 60:02d}:{second % 60:02d}Z"


def without_id(message: str, second: int) -> Any:
    """Return a record without an id, as other handlers write it."""
    envelope = log(message, time=time_of(second))
    del envelope["data"]["baseData"]["properties"]["record_id"]
    return envelope


def test_a_run_from_its_beginning_to_its_end(journal: Callable[..., Path]) -> None:
    """Existing rows come first and then new ones, until every step has ended."""
    path = journal(log("one", time=time_of(0)))
    watched = Insights(PythonStore([path])).watch(seconds=0, quiet_seconds=0)
    assert next(watched)["message"] == "one"
    append(path, log("two", time=time_of(1)), log("three", time=time_of(2)))
    assert [next(watched)["message"], next(watched)["message"]] == ["two", "three"]
    append(path, log("four", time=time_of(3)), step("train", time=time_of(0)))
    assert [row["message"] for row in watched] == ["four"]


def test_the_last_lines_only(journal: Callable[..., Path]) -> None:
    """With `lines`, older rows do not come later either."""
    path = journal(*(log(str(n), time=time_of(n)) for n in range(5)), step("train", time=time_of(0)))
    insights = Insights(PythonStore([path]))
    watched = insights.watch(RUN, seconds=0, quiet_seconds=0, lines=2)
    assert [row["message"] for row in watched] == ["3", "4"]
    assert [row["message"] for row in insights.watch(seconds=0, quiet_seconds=0, lines=9)] == list("01234")
    assert [row["message"] for row in insights.watch(seconds=0, quiet_seconds=0, contains="3")] == ["3"]


def test_late_records(journal: Callable[..., Path]) -> None:
    """A record of an hour ago in another file is new."""
    path = journal(log("now", time=time_of(3500)))
    watch = Watch(Insights(PythonStore([path.parent])), RUN, None, {})
    assert [row["message"] for row in watch.poll()] == ["now"]
    write(
        path.with_name("20261122T090000-other-1-abc.jsonl"),
        log("late", time=time_of(1)),
        log("new", time=time_of(3501)),
    )
    assert [row["message"] for row in watch.poll()] == ["late", "new"]
    assert watch.poll() == []


def test_equal_records(journal: Callable[..., Path]) -> None:
    """Equal records without ids are yielded as often as they exist."""
    path = journal(without_id("same", 1), without_id("same", 1))
    watch = Watch(Insights(PythonStore([path])), RUN, None, {})
    assert len(watch.poll()) == 2
    append(path, without_id("same", 1))
    assert len(watch.poll()) == 1
    assert watch.poll() == []


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 600), st.booleans(), st.sampled_from("abc")), max_size=6),
        max_size=5,
    )
)
def test_each_record_is_yielded_once(batches: list[list[tuple[int, bool, str]]]) -> None:
    """Each record is yielded once, for any records between two polls."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "20261122T100000-node-1-abcdef.jsonl", log("first", time=time_of(300)))
        watch = Watch(Insights(PythonStore([path])), "", None, {})
        messages = [row["message"] for row in watch.poll()]
        for batch in batches:
            append(path, *(log(m, time=time_of(s)) if has_id else without_id(m, s) for s, has_id, m in batch))
            messages += [row["message"] for row in watch.poll()]
    assert sorted(messages) == sorted(["first", *(m for batch in batches for _s, _has_id, m in batch)])


def test_ctrl_c_ends_it(journal: Callable[..., Path]) -> None:
    """Ctrl-C ends the iteration without an exception."""

    class Interrupted(PythonStore):
        queries = 0

        def answer(self, query: Any) -> Any:
            self.queries += 1
            if self.queries > 6:
                raise KeyboardInterrupt
            return super().answer(query)

    watched: Iterator[Any] = Insights(Interrupted([journal(log("one"))])).watch("all", seconds=0)
    assert [row["message"] for row in watched] == ["one"]


def test_an_invalid_interval(journal: Callable[..., Path]) -> None:
    """A negative interval is an error."""
    with pytest.raises(UsageError, match="seconds=-1"):
        next(Insights(PythonStore([journal(log("one"))])).watch(seconds=-1))
