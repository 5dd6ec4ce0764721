"""In a job, an invalid environment does not stop the step, and one WARNING reports it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import logging
import amllog
log = amllog.setup()
logging.getLogger("library").info("hello")
log.metric("loss", 1)
print(amllog.shutdown(60))
"""
# Libraries of an incompatible version, whose imports raise something else than ImportError.
BROKEN = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("azureml._async", "azureml._restclient.metrics_client", "azureml.core", "opencensus.ext.azure"):
            raise AttributeError("module 'numpy' has no attribute 'float'")
sys.meta_path.insert(0, Finder())
"""
WORKERS = """
import multiprocessing, sys
import amllog
def work(job):
    number, log = job
    log.info("worker %d", number)
    amllog.flush(60)
if __name__ == "__main__":
    log = amllog.setup()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(work, [(number, log) for number in range(4)])
"""
INVALID = {
    "AMLLOG_LEVEL": "LOUD", "AMLLOG_GRACE_SECONDS": "soon", "AMLLOG_JOURNAL_MAX_BYTES": "1KB",
    "AMLLOG_DIR": "~nobody-of-this-name/x", "AMLLOG_REDACT": "patient(", "AMLLOG_CAPTURE": "stdout",
    "AMLLOG_DIMENSIONS": "team", "AMLLOG_STRICT": "perhaps", "AMLLOG_LEVLE": "DEBUG",
}  # fmt: skip


def reported(azure: Any) -> list[str]:
    """Return the WARNING records that arrived."""
    data = [entry["data"]["baseData"] for entry in azure.envelopes]
    return [one["message"] for one in data if one.get("severityLevel") == 2]


def test_everything_is_invalid(child: Any, azure: Any) -> None:
    """With nine invalid variables, all records arrive, and one WARNING names all of them."""
    ran = child(SCRIPT, env={**azure.job_environment(run_id="run_1", step_name="s"), **INVALID})
    assert (ran.returncode, ran.stderr) == (0, "")
    (warning,) = reported(azure)
    assert warning.startswith("9 environment variables are invalid")
    assert all(name in warning and f"  invalid: {name}" in ran.stdout for name in INVALID)
    assert azure.values("run_1") == {"loss": [1]}


@pytest.mark.parametrize("before", ["", BROKEN], ids=["warnings are errors", "broken libraries"])
def test_libraries_that_cannot_be_imported(child: Any, azure: Any, before: str) -> None:
    """A library whose import raises any exception does not stop the step. What needs it waits, or is not captured."""
    environment = azure.job_environment(run_id="run_1", step_name="s")
    ran = child(before + SCRIPT, env={**environment, **({} if before else {"PYTHONWARNINGS": "error"})})
    assert ran.returncode == 0, ran.stderr
    assert "hello" in [entry["data"]["baseData"].get("message") for entry in azure.envelopes]
    if before:
        assert (
            "run history does not answer (AttributeError: module 'numpy' has no attribute 'float')"
            in ran.stdout
        )
        assert "metrics that the script logs through it are not captured" in ran.stdout


def test_workers(azure: Any, child: Any, tmp_path: Path) -> None:
    """Workers record under the same defaults, and do not repeat the WARNING."""
    script = tmp_path / "train.py"
    script.write_text(WORKERS)
    ran = child(script, env={**azure.job_environment(run_id="run_1", step_name="s"), "AMLLOG_LEVEL": "LOUD"})
    assert ran.returncode == 0, ran.stderr
    messages = [entry["data"]["baseData"].get("message", "") for entry in azure.envelopes]
    assert sorted(message for message in messages if message.startswith("worker")) == [
        f"worker {n}" for n in range(4)
    ]
    assert len(reported(azure)) == 1


def test_the_command_that_runs_scripts(azure: Any, child: Any, tmp_path: Path) -> None:
    """`amllog run` runs the script of a job, and fails before it outside a job."""
    (tmp_path / "train.py").write_text("print('trained')")
    command = [sys.executable, "-m", "amllog", "run", "train.py"]
    ran = child(command, env={**azure.job_environment(run_id="run_1", step_name="s"), "AMLLOG_LEVEL": "LOUD"})
    assert (ran.returncode, "trained" in ran.stdout, len(reported(azure))) == (0, True, 1)
    ran = child(command, env={"AMLLOG_LEVEL": "LOUD"})
    assert (ran.returncode, "AMLLOG_LEVEL = 'LOUD'" in ran.stderr, ran.stdout) == (2, True, "")
