"""Faults of run history: the script continues, ends in time, and its metrics wait and arrive."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine
from amllog.local.faults import Fault

GRACE = 2.0
SLACK = 400.0  # for a busy machine, where the import of azureml takes seconds
CALLS_SECONDS = 9.0  # for 200 calls, which take milliseconds, while one request would hang for 10 s
STEP = """
import json, os, sys, time, urllib.request
import amllog
log = amllog.setup()
fault = json.loads(sys.argv[1])
if fault is not None:
    address = os.environ["FAULTS_URL"]
    data = json.dumps([{"service": "run_history", **fault}]).encode()
    urllib.request.urlopen(urllib.request.Request(address, data=data, method="PUT")).read()
began = time.monotonic()
for number in range(100):
    log.metric("loss", number / 4)
    log.run.log("script", number)
log.run.tag("kind", "value")
print("calls took", time.monotonic() - began, flush=True)
"""


@pytest.fixture
def job(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a step's job without Application Insights, with access to the faults."""
    variables = azure.job_environment(run_id="run_1", step_name="train", parent_run_id="pipe_1")
    variables = {
        name: value for name, value in variables.items() if not name.startswith("APPLICATIONINSIGHTS")
    }
    return {
        **variables,
        "FAULTS_URL": azure.faults_url,
        "AMLLOG_GRACE_SECONDS": str(GRACE),
        "AMLLOG_DRIVER_LEVEL": "WARNING",
    }


def step(child: Any, job: dict[str, str], fault: str = "null") -> None:
    """Run the step, which is not slowed down and succeeds."""
    began = time.monotonic()
    ran = child(STEP, fault, env=job)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout.split("calls took ")[1].split()[0]) < CALLS_SECONDS
    assert time.monotonic() - began < GRACE + SLACK


def deliver_all(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """Deliver the waiting records, and check that each arrives once."""
    directory = "logs/amllog"
    ran = child([sys.executable, "-m", "amllog", "deliver", directory, "--timeout", "40"], env=job)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    values = {name: sorted(points) for name, points in azure.values("run_1").items()}
    assert values == {"loss": [n / 4 for n in range(100)], "script": list(range(100))}
    assert azure.tags("run_1") == {"kind": "value"}


@pytest.mark.parametrize(
    "fault",
    [
        '{"hang": "before headers"}',
        '{"hang": "after headers"}',
        '{"close": true}',
        '{"body": "<html>a page of a proxy</html>"}',
        '{"status": 307, "headers": {"Location": "http://foreign.invalid/"}}',
        '{"status": 401}',
        '{"status": 403}',
        '{"status": 408}',
        '{"status": 429, "headers": {"Retry-After": "600"}}',
        '{"status": 503}',
    ],
)
def test_faults_while_the_step_runs(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine, fault: str
) -> None:
    """If the service fails while the step runs, metrics and tags wait, and are delivered once later."""
    step(child, job, fault)
    assert azure.values("run_1") == {}
    azure.faults.clear()
    deliver_all(child, job, azure)


@pytest.mark.parametrize(
    "fault", ['{"drops": 0.3}', '{"seconds": 30}', '{"close": true, "carried_out": true}']
)
def test_lost_responses(child: Any, job: dict[str, str], azure: AzureOnThisMachine, fault: str) -> None:
    """If only the response of the service is lost, metrics are sent again with the same metric ids."""
    step(child, job, fault)
    azure.faults.clear()
    ran = child([sys.executable, "-m", "amllog", "deliver", "logs/amllog", "--timeout", "40"], env=job)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    values = {name: sorted(set(points)) for name, points in azure.values("run_1").items()}
    assert values == {"loss": [n / 4 for n in range(100)], "script": list(range(100))}
    ids = [value["metricId"] for metric in azure.metrics("run_1") for value in metric["value"]]
    assert len(set(ids)) == 200


@pytest.mark.parametrize("fault", ["refused", "host not found", "TLS", "hangs"])
def test_faults_from_the_beginning(
    child: Any, job: dict[str, str], azure: AzureOnThisMachine, fault: str
) -> None:
    """An unreachable service delays setup() by 5 s at most, and metrics are delivered once later."""
    address = job["AZUREML_SERVICE_ENDPOINT"]
    elsewhere = {
        "refused": "http://127.0.0.1:9",
        "host not found": "http://nowhere.invalid",
        "TLS": address.replace("http:", "https:"),
        "hangs": address,
    }[fault]
    if fault == "hangs":
        azure.faults.put(Fault(service="run_history", hang="before headers"))
    there = {
        name: elsewhere + value[len(address) :] if value.startswith(address) else value
        for name, value in job.items()
    }
    step(child, there)
    azure.faults.clear()
    deliver_all(child, job, azure)
