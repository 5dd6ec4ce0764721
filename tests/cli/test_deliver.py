"""`amllog deliver`, with real journals and the local Azure."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.local.azure import INSTRUMENTATION_KEY

from .conftest import write_old  # isort: skip

UNREACHABLE = f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:9/"
VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"


def received_messages(azure: Any) -> dict[str, dict[str, str]]:
    """Return the received messages with their properties."""
    bodies = [record["data"]["baseData"] for record in azure.envelopes]
    return {body["message"]: body["properties"] for body in bodies if "message" in body}


@pytest.mark.usefixtures("good_run")
def test_kept_records_are_delivered(cli: Any, read_json: Any, azure: Any) -> None:
    """With a connection string, all kept records are delivered once."""
    environment = {VARIABLE: azure.connection_string}
    ran = cli("deliver", env=environment)
    assert ran.returncode == 0
    before, after = ran.stdout.split("after:")
    assert ("8 waiting" in before, "8 delivered, 0 waiting, 0 refused" in after) == (True, True)
    assert cli("deliver", env=environment).returncode == 0
    assert len(azure.envelopes) == 8
    assert read_json("status")["outlets"]["app_insights"]["delivered"] == 8


def test_records_are_delivered_after_an_outage(child: Any, cli: Any, azure: Any, read_json: Any) -> None:
    """Records and run metrics of a job without services are delivered when the services are back."""
    job = azure.job_environment(run_id="run_1", step_name="train")
    azure.stop()
    code = "import amllog; log = amllog.setup(grace_seconds=0.2); log.info('a'); log.metric('loss', 1.5)"
    assert child(code, env=job).returncode == 0
    ran = cli("status")
    assert (ran.returncode, "amllog deliver" in ran.stdout) == (0, True)
    assert read_json("status")["outlets"]["run_metrics"]["waiting"] == 1
    azure.start()
    assert cli("deliver", env=job).returncode == 0
    assert azure.values("run_1") == {"loss": [1.5]}
    assert {row["writer"] for row in read_json("status")["files"]} == {"gone"}


@pytest.mark.usefixtures("good_run")
def test_the_time_limit(cli: Any) -> None:
    """An unreachable endpoint is reported within --timeout."""
    began = time.monotonic()
    ran = cli("deliver", "--timeout", "3", env={VARIABLE: UNREACHABLE})
    assert (ran.returncode, "connection refused" in ran.stderr) == (1, True)
    assert time.monotonic() - began < 400


def test_running_writers_deliver_their_own_records(child: Any, cli: Any, read_json: Any, azure: Any) -> None:
    """The records of a running process are not delivered by `amllog deliver`."""
    code = "import amllog; amllog.setup().info('mine'); print('ready', flush=True); input()"
    writer = child.start(
        [sys.executable, "-c", f"import os, time\n{code.replace('input()', 'time.sleep(600)')}"]
    )
    while "ready" not in writer.stdout.readline():
        pass
    ran = cli("deliver", env={VARIABLE: azure.connection_string})
    assert (ran.returncode, ran.stderr.count("is not sent: another process has its lock")) == (1, 1)
    assert azure.envelopes == []
    assert read_json("status")["files"][0]["writer"] == "alive"
    assert "1 of them being written" in cli("status").stdout


def test_old_records_are_sent_on_request(cli: Any, read_json: Any, azure: Any, journal: Path) -> None:
    """Old records are refused with a reason. With --resend-old they are sent once with the current time."""
    write_old(journal, [3, 0.1, 5])
    environment = {VARIABLE: azure.connection_string}
    assert cli("deliver", env=environment).returncode == 1
    assert list(received_messages(azure)) == ["record 1"]
    ran = cli("status")
    assert (ran.returncode, "2 × older than 48 hours" in ran.stdout) == (1, True)
    for _ in range(2):
        assert cli("deliver", "--resend-old", env=environment).returncode == 0
    arrived = received_messages(azure)
    assert (sorted(arrived), len(azure.envelopes)) == (["record 0", "record 1", "record 2"], 3)
    assert arrived["record 2"]["original_time"] < arrived["record 0"]["original_time"]
    report = read_json("status")
    assert (report["outlets"]["app_insights"]["delivered"], report["refused"], report["waiting"]) == (3, 0, 0)


def test_a_failed_resend_changes_nothing(cli: Any, read_json: Any, azure: Any, journal: Path) -> None:
    """Old records that cannot be resent remain refused, and a later resend sends them."""
    write_old(journal, [3, 4])
    environment = {VARIABLE: azure.connection_string}
    assert cli("deliver", env=environment).returncode == 1
    assert cli("deliver", "--resend-old", env={VARIABLE: UNREACHABLE}).returncode == 1
    assert read_json("status")["refused"] == 2
    assert cli("deliver", "--resend-old", env=environment).returncode == 0
    assert len(azure.envelopes) == 2
