"""Errors and warnings as their readers meet them: at the line of their own, and whole after a way between processes."""

from __future__ import annotations

import logging
import pickle
import warnings
from typing import Any

import pytest

import amllog
from amllog.testing import capture

LONG = "n" * 51
MISUSES = {
    "metrics of a list": (
        lambda log: log.metrics([("loss", 1)]),
        "metrics takes a dict of names and numbers, got list",
    ),
    "a level's name": (
        lambda log: log.log("INFO", "x"),
        "a level is a number such as logging.INFO, got 'INFO'",
    ),
    "tags of a text": (lambda log: log.run.set_tags("x"), "tags and properties are a dict, got str"),
    "a tag without a key": (
        lambda log: log.run.tag(),
        "a tag's or property's key has 1 to 100 characters, got 'None'",
    ),
}


@pytest.mark.parametrize(("call", "said"), MISUSES.values(), ids=MISUSES)
def test_a_misuse_is_told_at_the_call(call: Any, said: str) -> None:
    """In words of what was called, not of what broke inside."""
    with capture() as logged, pytest.raises(TypeError) as caught:
        call(amllog.get_logger("misused"))
    assert str(caught.value) == said
    assert logged.records == []


@pytest.mark.parametrize(
    "error",
    [
        amllog.MissingExtraError("duckdb", "insights"),
        amllog.MetricError("no number"),
        amllog.errors.ConfigError([amllog.errors.Problem("AMLLOG_LEVEL", "LOUD", "allowed is …")]),
        amllog.errors.UsageError("no such run"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_worker_process_comes_back(error: Exception) -> None:
    """With its type, its text and what it knows: one that cannot be unpickled breaks a whole pool."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.metric(LONG, 1),
        lambda log: log.metrics({LONG: 1}),
        lambda log: log.run.log(LONG, 1),
        lambda log: log.run.log_row(LONG, x=1),
        lambda log: log.run.log_confusion_matrix(LONG, {}),
        lambda log: log.run.get_secret("s"),
    ],
    ids=["metric", "metrics", "log", "log_row", "log_confusion_matrix", "get_secret"],
)
def test_a_warning_is_at_the_line_of_the_script(call: Any) -> None:
    """From however deep inside amllog: else it names a line that its reader cannot change."""
    with capture(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        call(amllog.get_logger("warned"))
    ((line, file),) = {(one.lineno, one.filename) for one in warned if one.category is amllog.AmllogWarning}
    assert (line, file) == (call.__code__.co_firstlineno, __file__)


def test_levels_are_any_number() -> None:
    """Also those of other libraries, and logging's own names for them."""
    with capture(level="DEBUG") as logged:
        for level in (logging.INFO, 25, True):
            amllog.get_logger("levels").log(level, "said")
    assert len(logged.messages) == 2
