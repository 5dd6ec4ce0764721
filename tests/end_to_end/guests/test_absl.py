"""absl: its records are recorded once, with its levels and without its own attributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("absl")

SCRIPT = """
import logging, sys, amllog
amllog.setup(driver_level="CRITICAL")
from absl import app, logging as absl_logging

def main(_):
    absl_logging.info("info %d", 1)
    absl_logging.warning("warning")
    logging.getLogger("library").info("of a library")
    absl_logging.set_verbosity(absl_logging.DEBUG)
    absl_logging.debug("below the level of setup()")
    try:
        1 / 0
    except ZeroDivisionError:
        absl_logging.exception("failed")
    for _ in range(2):
        absl_logging.log_first_n(absl_logging.INFO, "first", 1)

app.run(main)
"""


def records() -> list[tuple[str, Any, set[str]]]:
    """Return the message, the severity and the dimensions of each log record."""
    lines = [json.loads(line)["data"] for file in Path(".amllog").glob("*.jsonl") for line in file.open()]
    logs = [line["baseData"] for line in lines if line["baseType"] in ("MessageData", "ExceptionData")]
    return [
        (data.get("message") or data["properties"]["message"], data["severityLevel"], set(data["properties"]))
        for data in logs
    ]


def test_app_run(child: Any) -> None:
    """Each record is recorded once, as without absl's handler and levels."""
    Path("script.py").write_text(SCRIPT)
    ran = child(Path("script.py"))
    assert ran.returncode == 0, ran.stderr
    expected = [("info 1", 1), ("warning", 2), ("of a library", 1), ("failed", 3), ("first", 1)]
    assert [(message, severity) for message, severity, _ in records()] == expected
    assert not any(key.startswith("_") for _, _, keys in records() for key in keys)
