"""The write path before setup(): early records are kept, masked again and written once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import amllog
from amllog.config.settings import Settings
from amllog.exporters.driver_log import DriverLog
from amllog.record.redaction import Redactor
from amllog.sources.emitter import Emitter
from amllog.sources.encoder import Draft
from amllog.sources.measurement_records import NOWHERE
from amllog.sources.resource import build_resource


def test_early_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records before setup() are on the driver log at once, and in the journal after setup(), once."""
    log = amllog.get_logger("early", bound="yes")
    log.info("early %d", 1)
    log.metric("loss", 0.5)
    assert list(tmp_path.rglob("*.jsonl")) == []
    assert capsys.readouterr().out.count("early 1") == 1
    for _ in range(2):
        amllog.setup(directory=tmp_path / "j")
    lines = [json.loads(line) for file in (tmp_path / "j").glob("*.jsonl") for line in file.open()]
    properties = lines[0]["data"]["baseData"]["properties"]
    assert len(lines) == 2
    assert (properties["bound"], bool(properties["step_id"])) == ("yes", True)
    assert "early 1" not in capsys.readouterr().out


def test_a_signal_while_early_records_are_kept() -> None:
    """A signal handler that raises while setup() writes early records loses and duplicates none."""
    lines: list[bytes] = []
    interrupted: list[int] = []

    def append(line: bytes) -> bool:
        if len(interrupted) < 2:
            interrupted.append(1)
            raise KeyboardInterrupt
        lines.append(line)
        return True

    emitter, redactor = Emitter(), Redactor()
    for number in range(3):
        data = {"message": f"early {number}", "severityLevel": 1}
        emitter.emit(Draft(1.0, logging.INFO, "early", "MessageData", data, {}, NOWHERE))
    outbox = type("Outbox", (), {"append": staticmethod(append)})
    resource = build_resource(amllog.identity(), Settings(), redactor)
    driver_log = DriverLog("plain", logging.INFO, {})
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            emitter.open(resource, outbox, driver_log, redactor)
    emitter.open(resource, outbox, driver_log, redactor)
    messages = [json.loads(line)["data"]["baseData"]["message"] for line in lines]
    assert messages == ["early 0", "early 1", "early 2"]
