"""Invalid variables in a job: one WARNING record, and the account."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.insights.questions import Questions
from amllog.insights.stores.local.python_store import PythonStore

KEY = "00000000-0000-0000-0000-0000000010ca"
VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets variables in the environment of a job."""
    monkeypatch.setenv("AZUREML_RUN_ID", "run_1")

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def warnings_of(directory: str) -> list[Any]:
    """Return the WARNING records of amllog."""
    rows = Questions(PythonStore([Path(directory)])).records()
    return [row for row in rows if row["logger"] == "amllog" and row["level"] == "WARNING"]


def test_one_warning_with_all_problems(job: Any) -> None:
    """All problems are in one record with the line of the script, in status(), and not repeated by another setup()."""
    job(AMLLOG_LEVEL="LOUD", AMLLOG_GRACE_SECONDS="soon", AMLLOG_LEVLE="DEBUG", AMLLOG_STRICT="perhaps")
    amllog.setup().info("hello")
    amllog.setup()
    account = amllog.status()
    (warning,) = warnings_of(account.directory)
    assert warning["message"].startswith("4 environment variables are invalid, and defaults are used: ")
    for problem in ("AMLLOG_LEVEL = 'LOUD': allowed is a level", "AMLLOG_GRACE_SECONDS = 'soon'", "AMLLOG_STRICT",
                    "AMLLOG_LEVLE is not an amllog variable: did you mean AMLLOG_LEVEL?"):  # fmt: skip
        assert problem in warning["message"]
        assert f"  invalid: {problem}" in str(account)
    assert warning["dimensions"]["fileName"] == __file__
    assert len(account.problems) == 4 and account.as_dict()["problems"] == list(account.problems)


def test_other_problems_are_another_warning(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another setup() reports problems that were not reported yet, and none when there are none."""
    job(AMLLOG_LEVEL="LOUD")
    amllog.setup()
    job(AMLLOG_LEVEL="LOUDER")
    amllog.setup()
    monkeypatch.delenv("AMLLOG_LEVEL")
    amllog.setup()
    account = amllog.status()
    assert [row["message"].count("LOUDER") for row in warnings_of(account.directory)] == [0, 1]
    assert account.problems == ()


def test_an_unknown_variable_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown variable is reported everywhere. An invalid one raises outside a job."""
    monkeypatch.setenv("AMLLOG_LEVLE", "DEBUG")
    amllog.setup()
    assert len(warnings_of(amllog.status().directory)) == 1
    monkeypatch.setenv("AMLLOG_LEVEL", "LOUD")
    with pytest.raises(amllog.ConfigError):
        amllog.setup()
    amllog.setup(strict=False)
    assert len(amllog.status().problems) == 2


def test_strict(job: Any) -> None:
    """An argument, AMLLOG_STRICT=true and strict=True raise in a job, before anything is changed."""
    with pytest.raises(amllog.ConfigError):
        amllog.setup(level="LOUD")
    job(AMLLOG_LEVEL="LOUD")
    with pytest.raises(amllog.ConfigError):
        amllog.setup(strict=True)
    job(AMLLOG_STRICT="true")
    with pytest.raises(amllog.ConfigError, match="AMLLOG_LEVEL"):
        amllog.setup()
    with pytest.raises(amllog.ConfigError):
        amllog.identity()
    assert logging.getLogger().handlers == [] or not Path("logs").exists()


def test_records_wait_for_a_valid_connection_string(job: Any, azure: Any, cli_deliver: Any) -> None:
    """With a malformed connection string, records wait, the account adds up, and `amllog deliver` delivers them."""
    job(**{VARIABLE: "InstrumentationKey=changeme"})
    log = amllog.setup()
    for number in range(5):
        log.info("%d", number)
    account = amllog.shutdown(timeout=30)
    outlet = account.outlets["app_insights"]
    assert (outlet.delivered, outlet.waiting, outlet.refused) == (0, account.accepted, {})
    assert "changeme" not in str(account)
    assert (
        "until `amllog deliver` has a valid connection string" in warnings_of(account.directory)[0]["message"]
    )
    assert cli_deliver({VARIABLE: "InstrumentationKey=changeme"}).returncode == 2
    assert cli_deliver({VARIABLE: azure.connection_string, "AMLLOG_LEVEL": "LOUD"}).returncode == 0
    assert len(azure.envelopes) == account.accepted


@pytest.fixture
def cli_deliver(child: Any) -> Any:
    """A function that runs `amllog deliver` in the job."""
    import sys

    return lambda env: child([sys.executable, "-m", "amllog", "deliver", "logs/amllog"], env=env)


def test_identity_before_setup(job: Any) -> None:
    """The identity of a job is known although a variable is invalid."""
    job(AMLLOG_LEVEL="LOUD", AMLLOG_STEP_NAME="train")
    assert (amllog.identity().step_id, amllog.identity().step_name) == ("run_1", "train")


@pytest.mark.parametrize("exporter", ["off", "false", "0"])
def test_what_is_off_stays_off(job: Any, azure: Any, exporter: str) -> None:
    """An exporter that the user wanted to be off sends nothing."""
    job(**{VARIABLE: azure.connection_string, "AMLLOG_EXPORTER": exporter})
    amllog.setup().info("stays here")
    assert "app_insights" not in amllog.shutdown(timeout=30).outlets
    assert azure.envelopes == []


def test_a_missing_package(job: Any, child: Any, azure: Any) -> None:
    """A variable that names an exporter whose package is missing is a problem, and `auto` delivers the records."""
    code = (
        "import sys, amllog\n"
        "sys.modules['azure.monitor.opentelemetry'] = sys.modules['mlflow'] = None\n"
        "amllog.setup().info('hello')\n"
        "print(amllog.shutdown(60))\n"
        "try:\n    amllog.setup(exporter='opentelemetry')\n"
        "except amllog.MissingExtraError as error:\n    print('raised', error)\n"
    )
    job(**{VARIABLE: azure.connection_string, "AMLLOG_EXPORTER": "opentelemetry", "AMLLOG_METRICS": "mlflow"})
    ran = child(code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (
        "invalid: AMLLOG_EXPORTER = 'opentelemetry': azure-monitor-opentelemetry-exporter is not installed"
        in ran.stdout
    )
    assert "invalid: AMLLOG_METRICS = 'mlflow': mlflow-skinny is not installed" in ran.stdout
    assert "raised azure-monitor-opentelemetry-exporter" in ran.stdout
    assert "hello" in [entry["data"]["baseData"].get("message") for entry in azure.envelopes]
