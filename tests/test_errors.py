"""Errors and warnings: their messages, the line that they name, and their way between processes."""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from pathlib import Path
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


@pytest.mark.parametrize(("call", "message"), MISUSES.values(), ids=MISUSES)
def test_invalid_arguments_raise_at_the_call(call: Any, message: str) -> None:
    """A TypeError names the argument that the caller passed, and no record is written."""
    with capture() as logged, pytest.raises(TypeError) as caught:
        call(amllog.get_logger("misused"))
    assert str(caught.value) == message
    assert logged.records == []


@pytest.mark.parametrize(
    "error",
    [
        amllog.MissingExtraError("duckdb", "insights"),
        amllog.MetricError("not a number"),
        amllog.errors.ConfigError([amllog.errors.Problem("AMLLOG_LEVEL", "LOUD", "allowed is …")]),
        amllog.errors.UsageError("no such run"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: Exception) -> None:
    """A copy has the type, the message and the attributes. An error that cannot be unpickled breaks a pool."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


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
def test_a_warning_names_the_line_of_the_script(call: Any) -> None:
    """A warning from any depth of calls inside amllog names the line of the script."""
    with capture(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        call(amllog.get_logger("warned"))
    ((line, file),) = {
        (warning.lineno, warning.filename) for warning in warned if warning.category is amllog.AmllogWarning
    }
    assert (line, file) == (call.__code__.co_firstlineno, __file__)


def test_levels_are_any_number() -> None:
    """`log()` accepts the numbers of `logging`, those of other libraries, and booleans."""
    with capture(level="DEBUG") as logged:
        for level in (logging.INFO, 25, True):
            amllog.get_logger("levels").log(level, "message")
    assert len(logged.messages) == 2


def test_the_extra_of_a_message_has_the_package() -> None:
    """Each package of a MissingExtraError is in the extra that the message names. The extra `all` has all others."""
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[project.scripts]")[0]
    extras = {
        name: set(re.findall(r'"([\w-]+)[>\[]', packages))
        for name, packages in re.findall(r"^(\w+) = (\[.*?\])(?: #[^\n]*)?$", table, re.MULTILINE | re.DOTALL)
    }
    named = [
        call
        for file in Path(amllog.__file__).parent.rglob("*.py")
        for call in re.findall(r'MissingExtraError\("([\w-]+)", "(\w+)"\)', file.read_text("utf-8"))
    ]
    assert len(named) >= 8
    assert [(package, extra) for package, extra in named if package not in extras[extra]] == []
    everything = set(re.search(r"amllog\[([\w,]+)\]", table)[1].split(","))
    assert everything == {*extras} - {"all"}
