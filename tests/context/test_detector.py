"""The detection of the run of a process."""

from __future__ import annotations

from typing import Any

from amllog.config.settings import Settings
from amllog.context.detector import RunDetector

JOB = dict.fromkeys(
    ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME", "AZUREML_ARM_PROJECT_NAME",
     "AZUREML_RUN_TOKEN"), "x"
)  # fmt: skip


def test_local_run_keeps_its_id() -> None:
    """Outside a job, the identity before setup() and those of each setup() have the same run."""
    detector = RunDetector({}, lambda message: None)
    first = detector.from_environment(Settings())
    second = detector.detect(Settings(), "none", "file:///j")
    assert (first.step_id, first.in_job) == (second.step_id, False)
    assert (first.run_url, second.run_url) == ("", "file:///j")
    assert detector.azureml_run is None


def test_run_history_without_an_answer(child: Any) -> None:
    """If run history fails, one notice reports it, and the identity is that of the environment."""
    code = """
import os
from amllog.config.settings import Settings
from amllog.context.detector import RunDetector
notices = []
detector = RunDetector(os.environ, notices.append)
print(detector.detect(Settings(), "azureml", "").step_id, detector.azureml_run, len(notices))
print(notices[0])
"""
    environ = {**JOB, "AZUREML_RUN_ID": "step", "AZUREML_SERVICE_ENDPOINT": "http://127.0.0.1:9"}
    first, second = child(code, env=environ).stdout.splitlines()
    assert first == "step None 1"
    assert second.startswith("run history does not answer (")
