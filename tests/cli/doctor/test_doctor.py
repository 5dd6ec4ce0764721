"""`amllog doctor` on machines with valid, invalid and no settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amllog.cli.doctor.doctor import file_system_of
from amllog.config.variables import VARIABLES

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"


@pytest.fixture
def states(read_json: Any) -> Any:
    """A function that runs doctor and returns the states of each subject."""

    def run(*arguments: object, **options: Any) -> dict[str, set[str]]:
        subjects: dict[str, set[str]] = {}
        for check in read_json("doctor", *arguments, **options):
            subjects.setdefault(check["about"], set()).add(check["state"])
        return subjects

    return run


def test_a_fresh_laptop(cli: Any, states: Any) -> None:
    """Only the missing connection string is a warning, and no file is written."""
    subjects = states()
    assert subjects.pop("connection string") == {"warn"}
    assert subjects.pop("exporter") <= {"ok", "warn"}
    assert set().union(*subjects.values()) <= {"ok"}, subjects
    ran = cli("doctor")
    assert (ran.returncode, "0 failed" in ran.stdout, list(Path().iterdir())) == (0, True, [])


def test_a_job(cli: Any, states: Any, azure: Any) -> None:
    """The run comes from run history, or from the environment if run history does not respond."""
    job = azure.job_environment(run_id="run_1", step_name="train")
    assert states(env=job)["run"] == {"ok"}
    assert "run_1, step train" in cli("doctor", env=job).stdout
    azure.stop()
    assert states(env=job)["run"] == {"warn"}


def test_a_clean_job(states: Any, azure: Any, tmp_path: Path) -> None:
    """A job with every variable of Azure ML, and a script with amllog, cause no warning."""
    (tmp_path / "new.py").write_text("import amllog\n\nlog = amllog.setup()\nlog.info('loaded', rows=7)\n")
    for parent in (None, "pipeline_1"):
        job = azure.job_environment(run_id=f"run_of_{parent}", step_name="train", parent_run_id=parent)
        subjects = states("new.py", env=job)
        assert {name: found for name, found in subjects.items() if found != {"ok"}} == {}
        assert "new.py" in subjects


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AMLLOG_LEVEL": "loud"}, "AMLLOG_LEVEL = 'loud'"),
        ({VARIABLE: "InstrumentationKey=secret-key-1"}, "allowed is a connection string"),
        ({"AMLLOG_DIR": "/proc/nothing"}, "/proc/nothing cannot be written"),
    ],
)
def test_invalid_settings_fail(cli: Any, environment: dict[str, str], message: str) -> None:
    """An invalid setting is reported with advice and exit code 1, and without a secret."""
    ran = cli("doctor", env=environment)
    assert (ran.returncode, message in ran.stdout, "secret-key-1" in ran.stdout) == (1, True, False)


def test_a_misspelled_variable(cli: Any) -> None:
    """A misspelled variable is reported with the most similar one, and one that resembles none without any."""
    ran = cli("doctor", env={"AMLLOG_LEVL": "DEBUG", "AMLLOG_NONSENSE": "1"})
    assert "AMLLOG_LEVL is not an amllog variable" in ran.stdout
    assert "did you mean AMLLOG_LEVEL?" in ran.stdout
    assert "AMLLOG_NONSENSE is not an amllog variable" in ran.stdout
    assert ran.stdout.count("did you mean") == 1


def test_variables_of_amllog_are_known(cli: Any) -> None:
    """Doctor reports no variable that amllog reads or sets as unknown, and lists those that a user sets."""
    given = {variable.name: "x" for variable in VARIABLES}
    ran = cli("doctor", env=given)
    assert "is not an amllog variable" not in ran.stdout
    assert "AMLLOG_RESOURCE_ID" in ran.stdout
    assert "AMLLOG_CHILD" not in ran.stdout


def test_variables_of_a_child_process_are_known(child: Any, cli: Any) -> None:
    """Doctor reports no variable as unknown in a child process of a script."""
    ran = child(
        "import subprocess, sys, amllog\n"
        "amllog.setup(grace_seconds=0)\n"
        "with amllog.get_logger('a').span('outer'):\n"
        "    environment = amllog.trace_environment()\n"
        "    subprocess.run([sys.executable, '-m', 'amllog', 'doctor'], env=environment)\n"
    )
    assert "settings" in ran.stdout
    assert "is not an amllog variable" not in ran.stdout


def test_a_test_record_is_sent(states: Any, azure: Any) -> None:
    """--send uses the real endpoint, and the check has its verdict."""
    environment = {VARIABLE: azure.connection_string}
    assert states("--send", env=environment)["test record"] == {"ok"}
    assert azure.envelopes[0]["data"]["baseData"]["message"] == "amllog doctor: a test record"
    azure.stop()
    assert states("--send", env=environment)["test record"] == {"fail"}
    assert states("--send")["test record"] == {"fail"}


@pytest.mark.usefixtures("good_run")
def test_waiting_records_are_reported(child: Any, states: Any) -> None:
    """Waiting records of ended processes are a warning."""
    assert states()["leftovers"] == {"ok"}
    unreachable = (
        "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/"
    )
    child("import amllog; amllog.setup(grace_seconds=0).info('waits')", env={VARIABLE: unreachable})
    assert states()["leftovers"] == {"warn"}


def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    """The longest mount point of /proc/mounts counts, also with spaces in it."""
    data = tmp_path / "my data" / "logs"
    data.mkdir(parents=True)
    escaped = str(data.parent).replace(" ", "\\040")
    mounts = f"/dev/sda / ext4 rw 0 0\nblobfuse2 {escaped} fuse rw 0 0\n/dev/sdb {tmp_path}/my ext4 rw 0 0\n"
    assert (file_system_of(data, mounts), file_system_of(tmp_path, mounts)) == ("fuse", "ext4")
    assert file_system_of(data, "") == ""
