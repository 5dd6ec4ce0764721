"""The fixtures of the tests of run metrics."""

from __future__ import annotations

import pytest

from amllog.local import AzureOnThisMachine


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a job, which can switch faults on."""
    environment = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    return {**environment, "FAULTS_URL": azure.faults_url}
