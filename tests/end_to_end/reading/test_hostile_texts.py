"""Records with control characters in all names and ids do not affect what the Python API prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.errors import AmllogError, ServiceError, UsageError
from amllog.insights import Insights, connect
from amllog.insights.stores.local.python_store import PythonStore
from amllog.record.text import CONTROLS

from ...insights.conftest import envelope, failure, log, step  # isort: skip

HOSTILE = "a\x1b[2Jb\x1b]8;;http://evil\x07c\u202ed\u2028e\x9bf\nERROR forged"
CONTROL_CHARACTER = re.compile(f"[{CONTROLS}]")


def ids(number: int) -> dict[str, str]:
    """Return the names and ids of a record, each with control characters."""
    return {
        "parent_run_id": f"{number}{HOSTILE}",
        "step_id": f"step{number}{HOSTILE}",
        "step_name": f"name{HOSTILE}",
        "experiment_name": f"experiment{HOSTILE}",
        "run_type": f"type{HOSTILE}",
        f"key{HOSTILE}": HOSTILE,
    }


@pytest.fixture(params=["duckdb", "plain"])
def insights(request: pytest.FixtureRequest, journal: Callable[..., Path]) -> Insights:
    """Return the questions over a journal with control characters in all strings, in both stores."""
    lines = []
    for number in (1, 2):
        time = f"2026-11-22T1{number}:00:00Z"
        metric = {"metrics": [{"name": f"loss{HOSTILE}", "value": float(number), "count": 1}]}
        lines += [
            log(f"said {number} {HOSTILE}", 2, time, **ids(number)),
            failure(HOSTILE, time, **ids(number)),
            envelope("MetricData", metric, time, run_metric="scalar", **ids(number)),
            envelope("EventData", {"name": HOSTILE}, time, **ids(number)),
            step(HOSTILE, success=False, time=time, **ids(number)),
        ]
    folder = journal(*lines).parent
    if request.param == "plain":
        return Insights(PythonStore([folder]))
    pytest.importorskip("duckdb")
    return connect(str(folder))


def printed(answer: object) -> list[str]:
    """Return everything that is printed of an answer, in a terminal and in a notebook."""
    texts = [repr(answer), str(answer), getattr(answer, "text", "")]
    return [*texts, answer._repr_html_()] if hasattr(answer, "_repr_html_") else texts


def control_characters(text: str) -> set[str]:
    """Return the control characters in a text, and a mark for a line that a record has begun."""
    characters = set(CONTROL_CHARACTER.findall(text.replace("\n", "")))
    return characters | ({"forged"} if re.search(r"^(<pre>)?ERROR forged", text, re.MULTILINE) else set())


def outcome(ask: Callable[[Insights], object], insights: Insights) -> list[str]:
    """Return the printed answer, or the error, whose line ends count as control characters."""
    try:
        return printed(ask(insights))
    except AmllogError as error:
        return [text.replace("\n", "\x1b") for text in (str(error), repr(error))]


ANSWERS: list[Callable[[Insights], object]] = [
    lambda of: of.runs(),
    lambda of: of.steps(),
    lambda of: of.logs(),
    lambda of: of.errors(),
    lambda of: of.exceptions(),
    lambda of: of.metrics(),
    lambda of: of.metrics(pivot="step_name"),
    lambda of: of.metrics(pivot="name"),
    lambda of: of.spans(),
    lambda of: of.events(),
    lambda of: of.count(by="step_name"),
    lambda of: of.count(by=f"key{HOSTILE}"),
    lambda of: of.timeline(),
    lambda of: of.records(),
    lambda of: of.last_metrics(),
    lambda of: of.last_values(),
    lambda of: of.story("last"),
    lambda of: of.compare("last~1", "last"),
    lambda of: of.tree("last"),
    lambda of: of.tree("all"),
]


@pytest.mark.parametrize("ask", ANSWERS)
def test_no_answer_acts_on_a_terminal(insights: Insights, ask: Callable[[Insights], object]) -> None:
    """Neither the text nor the HTML of an answer has a control character or a line end of a record."""
    assert [control_characters(text) for text in outcome(ask, insights) if control_characters(text)] == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda of: of.story("nope"),
        lambda of: of.tree("nope"),
        lambda of: of.compare("nope", "last"),
        lambda of: next(of.watch("nope")),
        lambda of: of.named("last~7"),
        lambda of: of.named(f"nope{HOSTILE}"),
        lambda of: of.named("step"),
        lambda of: of.logs(level=HOSTILE),
        lambda of: of.logs(since=HOSTILE),
        lambda of: of.logs(**{HOSTILE: 1}),
        lambda of: of.metrics(pivot=HOSTILE),
        lambda of: of.count(by=f"no such {HOSTILE}"),
        lambda of: of.query(f"nothing['{HOSTILE}']"),
        lambda of: of.query(f"['{HOSTILE}'] | take 1"),
    ],
)
def test_no_error_acts_on_a_terminal(insights: Insights, ask: Callable[[Insights], object]) -> None:
    """An error that quotes ids of records or arguments is one line without control characters."""
    assert [control_characters(text) for text in outcome(ask, insights) if control_characters(text)] == []


def test_errors_of_the_reading_side_are_escaped() -> None:
    """An error of the reading side is one line for any text."""
    for kind in (UsageError, ServiceError):
        assert (
            str(kind(HOSTILE))
            == "a\\x1b[2Jb\\x1b]8;;http://evil\\x07c\\u202ed\\u2028e\\x9bf\\x0aERROR forged"
        )
