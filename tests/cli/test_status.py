"""`amllog status` and `amllog deliver`, against real journals and the far side."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from amllog.cli import status
from amllog.local.azure import INSTRUMENTATION_KEY as KEY
from amllog.record import envelope

DEAD = f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:9/"
VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
DAY = 86_400.0


def write_old(folder: Path, ages_days: list[float]) -> Path:
    """A journal file of a process that is gone, with a record of each age."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "20260101T000000-gone-999999-abcd.jsonl"
    for number, age in enumerate(ages_days):
        data = {"message": f"record {number}", "properties": {"step_id": "s", "record_id": f"r-{number}"}}
        with path.open("ab") as file:
            file.write(envelope.encode_record(time.time() - age * DAY, KEY, {}, "MessageData", data))
    return path


def messages(azure: Any) -> dict[str, dict[str, str]]:
    """What arrived: message → properties."""
    data = [record["data"]["baseData"] for record in azure.envelopes]
    return {one["message"]: one["properties"] for one in data if "message" in one}


@pytest.mark.usefixtures("good_run")
def test_without_a_connection_string_all_stays(cli: Any, asked: Any) -> None:
    """Nothing waits, for nobody said where to; and status says how many records are kept."""
    told = asked("status")
    assert (told["accepted"], told["waiting"], told["refused"], told["unaddressed"]) == (8, 0, 0, 8)
    ran = cli("status")
    assert (ran.returncode, "8 records written without a connection string" in ran.stdout) == (0, True)
    ran = cli("deliver")
    assert (ran.returncode, "no destination: set APPLICATION" in ran.stderr) == (2, True)


@pytest.mark.usefixtures("good_run")
def test_deliver_sends_what_was_kept(cli: Any, asked: Any, azure: Any) -> None:
    """With a connection string, all of it arrives, once."""
    environment = {VARIABLE: azure.connection_string}
    ran = cli("deliver", env=environment)
    assert ran.returncode == 0
    before, after = ran.stdout.split("after:")
    assert ("8 waiting" in before, "8 delivered, 0 waiting, 0 refused" in after) == (True, True)
    assert cli("deliver", env=environment).returncode == 0
    assert len(azure.envelopes) == 8
    assert asked("status")["outlets"]["app_insights"]["delivered"] == 8


def test_what_waited_for_a_dead_endpoint_is_delivered(child: Any, cli: Any, azure: Any, asked: Any) -> None:
    """A job whose services were down: records and run metrics arrive when they are back."""
    job = azure.job_environment(run_id="run_1", step_name="train")
    azure.stop()
    code = "import amllog; log = amllog.setup(grace_seconds=0.2); log.info('a'); log.metric('loss', 1.5)"
    assert child(code, env=job).returncode == 0
    ran = cli("status")
    assert (ran.returncode, "amllog deliver" in ran.stdout) == (0, True)
    assert asked("status")["outlets"]["run_metrics"]["waiting"] == 1
    azure.start()
    assert cli("deliver", env=job).returncode == 0
    assert azure.values("run_1") == {"loss": [1.5]}
    assert {row["writer"] for row in asked("status")["files"]} == {"gone"}


@pytest.mark.usefixtures("good_run")
def test_deliver_is_bounded(cli: Any) -> None:
    """A dead endpoint is told, and takes no longer than --timeout."""
    began = time.monotonic()
    ran = cli("deliver", "--timeout", "3", env={VARIABLE: DEAD})
    assert (ran.returncode, "connection refused" in ran.stderr) == (1, True)
    assert time.monotonic() - began < 400


def test_living_writers_are_left_alone(child: Any, cli: Any, asked: Any, azure: Any) -> None:
    """What a living process has is its own to deliver."""
    code = "import amllog; amllog.setup().info('mine'); print('ready', flush=True); input()"
    writer = child.start(
        [sys.executable, "-c", f"import os, time\n{code.replace('input()', 'time.sleep(600)')}"]
    )
    while "ready" not in writer.stdout.readline():
        pass
    ran = cli("deliver", env={VARIABLE: azure.connection_string})
    assert (ran.returncode, ran.stderr.count("is not sent: another process has its lock")) == (1, 1)
    assert azure.envelopes == []
    assert asked("status")["files"][0]["writer"] == "alive"
    assert "1 of them being written" in cli("status").stdout


def test_old_records_are_sent_on_request(cli: Any, asked: Any, azure: Any, journal: Path) -> None:
    """Refused with a reason; with --resend-old sent with the present time, each once, their own beside it."""
    write_old(journal, [3, 0.1, 5])
    environment = {VARIABLE: azure.connection_string}
    assert cli("deliver", env=environment).returncode == 1
    assert list(messages(azure)) == ["record 1"]
    ran = cli("status")
    assert (ran.returncode, "2 × older than 48 hours" in ran.stdout) == (1, True)
    for _ in range(2):
        assert cli("deliver", "--resend-old", env=environment).returncode == 0
    arrived = messages(azure)
    assert (sorted(arrived), len(azure.envelopes)) == (["record 0", "record 1", "record 2"], 3)
    assert arrived["record 2"]["original_time"] < arrived["record 0"]["original_time"]
    told = asked("status")
    assert (told["outlets"]["app_insights"]["delivered"], told["refused"], told["waiting"]) == (3, 0, 0)


def test_old_records_wait_for_an_endpoint_that_answers(
    cli: Any, asked: Any, azure: Any, journal: Path
) -> None:
    """A resend that fails changes nothing."""
    write_old(journal, [3, 4])
    environment = {VARIABLE: azure.connection_string}
    assert cli("deliver", env=environment).returncode == 1
    assert cli("deliver", "--resend-old", env={VARIABLE: DEAD}).returncode == 1
    assert asked("status")["refused"] == 2
    assert cli("deliver", "--resend-old", env=environment).returncode == 0
    assert len(azure.envelopes) == 2


def test_status_where_settings_are_wrong(cli: Any, journal: Path) -> None:
    """The account can be read whatever else is wrong."""
    write_old(journal, [1])
    assert cli("status", journal, env={"AMLLOG_LEVEL": "loud"}).returncode == 0
    assert cli("deliver", env={"AMLLOG_LEVEL": "loud"}).returncode == 2


def test_status_names_what_it_cannot_read(journal: Path) -> None:
    """A file that is no journal file, and a checkpoint with invalid lines, are in the notes; the rest is counted."""
    good = write_old(journal, [1, 2])
    entry = '{"outlet": "app_insights", "to": 0, "delivered": 0}\n'
    good.with_suffix(".ack").write_text(entry + '{"outlet": "app_insights"}\nnonsense\n')
    for number, make in enumerate((lambda path: path.write_text("hello\n"), os.mkfifo, os.mkdir)):
        make(journal / f"20260101T00000{number}-other-1-abcd.jsonl")
    (journal / "20260101T000009-other-1-abcd.jsonl").symlink_to(good)
    found = status.report(journal, {})
    assert [row["file"] for row in found["files"]] == [good.name]
    assert found["files"][0]["records"] == 2
    assert len(found["notes"]) == 5, found["notes"]
    assert all("is not read: " in note or "invalid lines" in note for note in found["notes"])


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_a_directory_that_cannot_be_read(cli: Any, tmp_path: Path) -> None:
    """It is no empty journal: both commands say so, and end with 2."""
    write_old(tmp_path / "journal", [0])
    (tmp_path / "journal").chmod(0)
    try:
        for command in ("status", "deliver"):
            ran = cli(command, str(tmp_path / "journal"), env={VARIABLE: DEAD})
            assert (ran.returncode, "cannot be read: Permission denied" in ran.stderr) == (2, True)
    finally:
        (tmp_path / "journal").chmod(0o700)
