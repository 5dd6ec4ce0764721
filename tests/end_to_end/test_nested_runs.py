"""A pipeline with a HyperDrive run, whose trials name the HyperDrive run as their parent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from amllog.insights import connect
from amllog.insights.insights import Insights
from amllog.insights.stores.local.python_store import PythonStore

STEP = """
import sys, amllog
log = amllog.setup(step_name=sys.argv[1], experiment_name="digits")
log.info("began")
if sys.argv[1] == "trial":
    raise ValueError("the trial failed")
"""
PLACES: dict[str, dict[str, str]] = {
    "prepare": {"parent_run_id": "pipe", "root_run_id": "pipe"},
    "trial": {"parent_run_id": "HD_77", "root_run_id": "pipe"},
}


def test_a_pipeline_includes_the_trials_of_its_sweep(child: Any, azure: Any, tmp_path: Path) -> None:
    """Errors, runs and stories of a pipeline include a failed trial: in journals, in Parquet and at the service."""
    directory = tmp_path / "j"
    for name, place in PLACES.items():
        environment = azure.job_environment(run_id=f"{name}_1", step_name=name, **place)
        ran = child(STEP, name, env={**environment, "AMLLOG_DIR": str(directory)})
        assert ran.returncode == (name == "trial"), ran.stderr
    ran = child([sys.executable, "-m", "amllog", "errors", "pipe", "--dir", str(directory)])
    assert ran.returncode == 1 and "the trial failed" in ran.stdout
    stores = [connect(directory), Insights(PythonStore([directory]))]
    stores.append(connect(resource_id=azure.resource_id, endpoint=azure.query_endpoint))
    for insights in stores:
        assert_the_trial_is_in_the_pipeline(insights)
        assert "the trial failed" in insights.story("pipe").text
    ran = child([sys.executable, "-m", "amllog", "compact", str(directory), "--idle", "0s"])
    assert ran.returncode == 0, ran.stderr
    for path in directory.glob("*.jsonl"):
        path.unlink()
    assert_the_trial_is_in_the_pipeline(connect(directory))


def assert_the_trial_is_in_the_pipeline(insights: Insights) -> None:
    """Check that the pipeline is the only run and has the exception of its trial."""
    assert insights.named() == "pipe"
    for run in ("pipe", "last", "HD_77", "PIPE"):
        assert [row["type"] for row in insights.exceptions(run)] == ["ValueError"], run
    runs = [(row["parent_run_id"], row["state"], row["steps"]) for row in insights.runs()]
    assert runs == [("pipe", "failed", 2)]
