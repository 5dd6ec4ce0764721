"""Pipelines of real processes, for reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.insights import Insights, connect

STEP = """
import sys, time, amllog
log = amllog.setup(step_name="{name}", experiment_name="digits", metrics="none")
log.info("began", rows=17)
with log.span("work", part=3):
    log.metric("loss", 0.5)
    log.warning("slow {name}")
    {end}
log.info("ended")
"""


KILLED = "print('ready', flush=True); time.sleep(600)"


def start_step(child: Any, directory: Path, name: str, end: str = "pass") -> Any:
    """Start one step of the pipeline run r1."""
    env = {"AMLLOG_DIR": str(directory / name), "AZUREML_RUN_ID": f"r1_{name}", "AZUREML_ROOT_RUN_ID": "r1",
           "AMLLOG_PARENT_RUN_ID": None}  # fmt: skip
    return child.start(STEP.format(name=name, end=end), env=env)


@pytest.fixture
def pipeline(child: Any, tmp_path: Path) -> Callable[[str], Insights]:
    """Return a function that runs the steps prepare, train and publish. Its argument is the end of train."""

    def run(end: str) -> Insights:
        assert start_step(child, tmp_path, "prepare").wait(600) == 0
        process = start_step(child, tmp_path, "train", end)
        if end == KILLED:
            while "ready" not in process.stdout.readline():
                assert process.poll() is None
            process.kill()
        process.wait(600)
        assert start_step(child, tmp_path, "publish").wait(600) == 0
        return connect(tmp_path)

    return run
