"""amllog.testing: the records of code under test, also if it calls setup() or shutdown()."""

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


def test_every_type_of_record() -> None:
    """Logs, exceptions, metrics, events and spans are captured in order with their values."""
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
    assert [(record.kind, record.message or record.name, record.own) for record in logged] == [
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


def test_records_are_available_in_the_block() -> None:
    """Records are available at once and cannot be changed."""
    with capture() as logged:
        assert logged.records == []
        log.info("one")
        assert logged.messages == ["one"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        logged.records[0].level = "DEBUG"  # type: ignore[misc]  # the subject of the test
    assert isinstance(logged.records[0], Record)


def test_code_that_calls_setup(tmp_path: Path, azure: Any) -> None:
    """The level and dimensions of a setup() in the code are used, but not its directory and service."""
    with capture(level="ERROR", run_type="test") as logged:
        log.info("below the level")
        second = amllog.setup(
            level="DEBUG",
            directory=tmp_path / "own",
            connection_string=azure.connection_string,
            dimensions={"a": 1},
        )
        second.debug("taken")
        amllog.shutdown()
        amllog.setup().info("again")
    assert [(record.message, record.own) for record in logged] == [("taken", {"a": "1"}), ("again", {})]
    assert (azure.envelopes, list(tmp_path.iterdir())) == ([], [])


def test_variables_are_ignored() -> None:
    """AMLLOG_* variables do not affect a capture and are restored afterwards."""
    os.environ["AMLLOG_LEVEL"] = "not a level"
    os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "00000000-0000-0000-0000-000000000001"
    with capture() as logged:
        log.info("taken")
    assert (logged.messages, os.environ["AMLLOG_LEVEL"]) == (["taken"], "not a level")


def test_the_session_is_restored(tmp_path: Path) -> None:
    """amllog is set up again with the same settings after a capture, but only if it was set up before."""
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


def test_earlier_records_are_not_captured() -> None:
    """Records that modules make during their import are not captured."""
    log.info("early")
    with capture() as logged:
        pass
    assert logged.records == []


def test_faults_of_amllog_are_raised(child: Any) -> None:
    """A fault inside amllog is raised in a capture and counted outside of one."""
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
