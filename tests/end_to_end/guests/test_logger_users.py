"""Libraries that take a `logging.Logger` as an argument take ours, and each of their records is recorded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

for package in ("backoff", "coloredlogs", "tenacity"):
    pytest.importorskip(package)

SCRIPT = """
import logging
import amllog, backoff, coloredlogs, tenacity
log = amllog.setup()
attempts = []

@tenacity.retry(
    stop=tenacity.stop_after_attempt(2), reraise=True,
    before=tenacity.before_log(log, logging.INFO), after=tenacity.after_log(log, logging.INFO),
    before_sleep=tenacity.before_sleep_log(log, logging.WARNING, exc_info=True),
)
def retried():
    attempts.append(1)
    if len(attempts) < 2:
        raise ValueError("again")

@backoff.on_exception(backoff.constant, KeyError, max_tries=2, interval=0, logger=log, jitter=None)
def backed_off():
    attempts.append(1)
    if len(attempts) < 4:
        raise KeyError("later")

retried()
backed_off()
coloredlogs.install(logger=log, level="WARNING")
log.info("below the level of coloredlogs")
log.warning("coloured")
"""


def test_retries_and_colours(child: Any) -> None:
    """tenacity and backoff record their attempts, and a console handler of coloredlogs shows a line once."""
    ran = child(SCRIPT)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line)["data"] for file in Path(".amllog").glob("*.jsonl") for line in file.open()]
    logs = [line["baseData"] for line in lines if line["baseType"] in ("MessageData", "ExceptionData")]
    messages = [data.get("message") or data["properties"]["message"] for data in logs]
    assert [message.split()[0] for message in messages] == [
        "Starting", "Finished", "Retrying", "Starting", "Backing", "below", "coloured",
    ]  # fmt: skip
    assert [(ran.stdout + ran.stderr).count(text) for text in ("below the level", "coloured")] == [1, 1]
