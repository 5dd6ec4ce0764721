"""The run of a job in azureml, and its properties."""

from __future__ import annotations

from typing import Any

from amllog.local import AzureOnThisMachine


def test_run_context_sends_two_requests(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """The run and its properties take the discovery and one request, and do not change the root logger."""
    code = """
import logging
from amllog.exporters.run_metrics import azureml_sdk
run, info = azureml_sdk.run_context()
print(run.id, info.parent_run_id, info.root_run_id, info.step_name, info.experiment_name, run.type)
print(info.run_url, logging.getLogger().handlers)
"""
    for home in ({}, {"HOME": "/dev/null"}):
        before = len(azure.requests_log)
        ran = child(code, env={**job, **home})
        first, second = ran.stdout.splitlines()
        assert first == "run_1 pipe_1 pipe_1 train local azureml.StepRun"
        assert "/runs/pipe_1?wsid=" in second
        assert second.endswith(" []")
        assert len(azure.requests_log) - before == 2


def test_run_context_outside_a_job(child: Any) -> None:
    """Outside a job, azureml reports that there is no run."""
    assert (
        "RunEnvironmentException"
        in child("from amllog.exporters.run_metrics import azureml_sdk; azureml_sdk.run_context()").stderr
    )
