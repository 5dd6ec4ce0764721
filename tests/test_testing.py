"""amllog.testing: what code under test logs, whatever it does to amllog itself."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.testing import Record, capture

log = amllog.get_logger("module.level")


def test_every_kind_of_record() -> None:
    """Logs, exceptions, metrics, events and spans, in order, with what they say."""
    with capture() as logged:
        log.info("loaded", rows=3)
        logging.getLogger("library").warning("slow %d", 1, extra={"fold": 2})
        log.metric("loss", 0.5, step=4)
        log.event("registered", version=1)
        with amllog.bound(epoch=7), log.span("fit"):
            pass
        try:
            raise KeyError("k")
        except KeyError:
            log.exception("failed")
    assert [(one.kind, one.message or one.name, one.own) for one in logged] == [
        ("log", "loaded", {"rows": "3"}),
        ("log", "slow 1", {"fold": "2"}),
        ("metric", "loss", {}),
        ("event", "registered", {"version": "1"}),
        ("span", "fit", {"epoch": "7"}),
        ("exception", "failed", {}),
    ]
    assert (logged.messages, logged.metrics) == (["loaded", "slow 1", "failed"], {"loss": [0.5]})
    loss, span, failed = (logged.records[index] for index in (2, 4, 5))
    assert (loss.value, loss.step, span.success, failed.level) == (0.5, 4, True, "ERROR")
    assert failed.stack.endswith("KeyError: 'k'")
    assert {"parent_run_id", "step_id", "step_name", "experiment_name", "run_url"} <= failed.dimensions.keys()


def test_records_can_be_looked_at_meanwhile() -> None:
    """Without a flush; and they cannot be changed."""
    with capture() as logged:
        assert logged.records == []
        log.info("one")
        assert logged.messages == ["one"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        logged.records[0].level = "DEBUG"  # type: ignore[misc]  # that is the test
    assert isinstance(logged.records[0], Record)


def test_code_that_sets_up_itself(tmp_path: Path, azure: Any) -> None:
    """Its level and dimensions count; nothing goes where it says, not even to a service that is there."""
    with capture(level="ERROR", run_type="test") as logged:
        log.info("below the level")
        own = amllog.setup(
            level="DEBUG",
            directory=tmp_path / "own",
            connection_string=azure.connection_string,
            dimensions={"a": 1},
        )
        own.debug("taken")
        amllog.shutdown()
        amllog.setup().info("again")
    assert [(one.message, one.own) for one in logged] == [("taken", {"a": "1"}), ("again", {})]
    assert (azure.envelopes, list(tmp_path.iterdir())) == ([], [])


def test_any_environment() -> None:
    """What a developer's shell has set does not change a test; it is back afterwards."""
    os.environ["AMLLOG_LEVEL"] = "no level at all"
    os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "00000000-0000-0000-0000-000000000001"
    with capture() as logged:
        log.info("taken")
    assert (logged.messages, os.environ["AMLLOG_LEVEL"]) == (["taken"], "no level at all")


def test_everything_is_as_before(tmp_path: Path) -> None:
    """amllog is set up again where it was, with the same settings, and not where it was not."""
    with capture():
        pass
    assert list(Path().iterdir()) == []
    amllog.setup(directory=tmp_path / "mine", dimensions={"team": "nlp"})
    with capture() as logged:
        log.info("captured")
    log.info("mine")
    text = "".join(path.read_text() for path in (tmp_path / "mine").glob("*.jsonl"))
    assert ("captured" in text, '"mine"' in text, '"team":"nlp"' in text) == (False, True, True)
    assert logged.messages == ["captured"]


def test_records_of_before_are_not_the_tests() -> None:
    """What modules log while they are imported belongs to no test."""
    log.info("early")
    with capture() as logged:
        pass
    assert logged.records == []


def test_faults_of_ours_are_raised(child: Any) -> None:
    """In a test, a fault inside amllog is no count but an exception; afterwards it is a count again."""
    ran = child("""
import amllog
from amllog.testing import capture
from amllog.session.api import session

with capture():
    session().recorder.emitter.redactor = None
    try:
        amllog.get_logger().info("x")
    except AttributeError:
        print("raised")
amllog.setup()
session().recorder.emitter.redactor = None
amllog.get_logger().info("x")
print("counted")
""")
    assert "raised\n" in ran.stdout, ran.stderr
    assert ran.stdout.endswith("counted\n")
