"""The filters of a question."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

from ..conftest import RUN, log  # isort: skip
from ..test_questions import of, questions  # isort: skip

__all__ = ["questions"]


@pytest.mark.parametrize(
    ("filters", "messages"),
    [
        ({"step_id": "s3"}, ["no end"]),
        ({"step_id": ["s3", "o1"]}, ["no end", "elsewhere"]),
        ({"step_name": "publish"}, ["no end"]),
        ({"level": 40}, ["it failed", "no end", "elsewhere"]),
        ({"level": "warning", "parent_run_id": RUN}, ["care", "it failed", "no end"]),
        ({"contains": "HELLO"}, ["hello world"]),
        ({"where": {"logger": "mine"}}, ["care"]),
        ({"where": {"fold": ["2", "3"]}}, ["hello world"]),
        ({"where": {"step_id": ""}}, ["of no run"]),
        ({"since": date(2026, 11, 23)}, ["elsewhere"]),
        ({"until": "2026-11-21T00:00:00+02:00"}, ["of no run"]),
        ({"since": "2026-11-22T10:00:03Z", "until": "2026-11-22T10:00:09Z"}, ["it failed"]),
        ({"run": "s3"}, ["no end"]),
        ({"limit": 2}, ["of no run", "hello world"]),
        ({"limit": 2, "newest_first": True}, ["elsewhere", "no end"]),
    ],
)
def test_each_filter(questions: Questions, filters: dict[str, Any], messages: list[str]) -> None:
    """Each filter selects its records."""
    table = questions.logs(**filters)
    assert [row["message"] for row in table] == messages
    assert any("limit of 2" in note for note in table.notes) == ("limit" in filters)


def test_relative_times(journal: Callable[..., Path]) -> None:
    """A relative time counts back from now."""
    now = datetime.now(timezone.utc)
    times = [(now - timedelta(hours=hours)).isoformat() for hours in (1, 30)]
    questions = connect(journal(*(log(f"{index}", time=time) for index, time in enumerate(times))))
    assert of(questions.logs(last="1d"), "message") == [("0",)]
    assert len(questions.logs(last=timedelta(days=2))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": "7"}, "last='7': a number and w, d, h, m or s"),
        ({"last": "0d"}, "last='0d'"),
        ({"last": "7d", "since": "2026-01-01"}, "use only one of them"),
        ({"since": "someday"}, "since='someday': a datetime"),
        ({"until": 5}, "until=5"),
        (
            {"since": "0001-01-01T00:00:00+09:00"},
            "since='0001-01-01T00:00:00+09:00': a time of the years 1 to",
        ),
        ({"level": "LOUD"}, "level='LOUD': one of DEBUG"),
        ({"where": "x"}, "where='x': a mapping"),
        ({"step_id": []}, "step_id=[]: at least one"),
        ({"stepid": "x"}, "stepid: no such argument"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    """The error names the argument, its value and the allowed values."""
    with pytest.raises(UsageError) as caught:
        Questions(Unasked()).logs(**arguments)
    assert message in str(caught.value)


def test_level_of_records_without_one() -> None:
    """A level filter on spans is an error and not an empty answer, because spans have no level."""
    with pytest.raises(UsageError, match="dependencies have no level"):
        Questions(Unasked()).spans(level="ERROR")
