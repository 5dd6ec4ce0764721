"""`amllog.debug()`: its arguments, the processes that listen, and errors that do not end a job."""

from __future__ import annotations

from typing import Any

import pytest

from amllog.config.settings import Settings
from amllog.errors import ConfigError
from amllog.session import debugging

JOB = {"AZUREML_RUN_ID": "run_1", "AMLLOG_EXPORTER": "none", "AMLLOG_METRICS": "none"}


def test_invalid_arguments_are_reported_together() -> None:
    """One error has the problems of all arguments, with their values and what is allowed."""
    with pytest.raises(ConfigError) as raised:
        debugging.with_arguments(Settings(), "here", -1)
    message = str(raised.value)
    assert "debug(address=…) = 'here': allowed is host:port" in message
    assert "debug(seconds=…) = -1: allowed is a number of seconds" in message
    assert debugging.with_arguments(Settings(), 0, "2").debug_address == ("127.0.0.1", 0)


WITHOUT_DEBUGPY = """
import os, sys
sys.modules["debugpy"] = None
import amllog
amllog.setup()
if not os.fork():
    os._exit(amllog.debug())
assert os.wait()[1] == 0
print("returned", amllog.debug())
"""


def test_a_job_continues_without_debugpy(child: Any) -> None:
    """A missing debugpy is printed once in a job, with the pip command, and the step continues."""
    ran = child(WITHOUT_DEBUGPY, env={**JOB, "AMLLOG_DEBUG": "1"})
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "debugg" in line]
    assert len(lines) == 1 and "debugpy is not installed: pip install 'amllog[debug]'" in lines[0]
    assert "returned False" in ran.stdout


def test_a_missing_debugpy_raises_outside_a_job(child: Any) -> None:
    """Outside a job, a missing debugpy is an error with the pip command."""
    ran = child("import sys; sys.modules['debugpy'] = None; import amllog; amllog.debug()")
    assert ran.returncode == 1
    assert "MissingExtraError: debugpy is not installed: pip install 'amllog[debug]'" in ran.stderr


def test_other_ranks_do_not_listen(child: Any) -> None:
    """On a rank other than 0, setup() and debug() return at once, and debugpy is not loaded."""
    code = "import sys, amllog; amllog.setup(); print(amllog.debug(), 'debugpy' in sys.modules)"
    ran = child(code, env={**JOB, "AMLLOG_DEBUG": "1", "RANK": "1"})
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "False False")


def test_invalid_variables_do_not_end_a_job(child: Any) -> None:
    """An invalid address is reported in a job, and the step waits at the default address."""
    code = "import amllog; amllog.setup(); amllog.setup(); print(amllog.debug(seconds=600))"
    variables = {"AMLLOG_DEBUG": "1", "AMLLOG_DEBUG_ADDRESS": "here", "AMLLOG_DEBUG_SECONDS": "0"}
    ran = child(code, env={**JOB, **variables, "AMLLOG_DRIVER_LEVEL": "ERROR"})
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "False"), ran.stderr
    assert ran.stdout.count("debugger listens on 127.0.0.1:") == 1
    assert '"pathMappings": [{"localRoot": "${workspaceFolder}"' in ran.stdout
    assert "no debugger attached within 0 s" in ran.stdout
