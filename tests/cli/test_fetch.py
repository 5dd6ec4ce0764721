"""`amllog fetch` with the real azureml-core and the local Azure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from amllog.cli import fetch
from amllog.cli.parser import parser
from amllog.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY = (
    "/history/v1.0/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"
)
NOWHERE = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
# Its records wait, because Application Insights cannot be reached. It uploads its files and is killed.
KILLED_STEP = """
import os, signal, sys
import amllog
from azureml.core import Run

os.dup2(os.open("std_log.txt", os.O_WRONLY | os.O_CREAT), 1)
log = amllog.setup(dimensions={"team": "nlp"})
print("plain", flush=True)
log.error("bad batch", rows=3)
run = Run.get_context()
run.upload_folder("logs", "logs")
for name in ("user_logs/std_log.txt", "azureml-logs/70_driver_log.txt"):
    run.upload_file(name, "std_log.txt")
os.kill(os.getpid(), signal.SIGKILL)
"""


def end_run(azure: Any, run_id: str, state: str) -> None:
    """Set the state of a run, as the service does."""
    address = f"{azure.url}{HISTORY}/experiments/local/runs/{run_id}/events"
    body = json.dumps({"name": f"Microsoft.MachineLearning.Run.{state}", "data": {"RunId": run_id}}).encode()
    with urlopen(Request(address, body, {"Authorization": f"Bearer {azure.run_token(run_id)}"})) as response:
        assert response.status == 200


def test_a_killed_step_comes_home(child: Any, cli: Callable[..., Any], azure: Any, tmp_path: Path) -> None:
    """The logs and the journal of a killed step are fetched, read and delivered, but not before its end."""
    ids = {"step_name": "train", "parent_run_id": "pipe_1", "root_run_id": "pipe_1"}
    job = azure.job_environment(run_id="run_1", **ids)
    (tmp_path / "job").mkdir()
    killed = child(
        KILLED_STEP, env={**job, "APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE}, cwd=tmp_path / "job"
    )
    assert (killed.returncode, azure.envelopes) == (-9, [])
    running = cli("fetch", "pipe_1", env=job)
    folder = tmp_path / "amllog-fetched" / "pipe_1"
    early = cli("deliver", "--dir", folder, env=job)
    assert (running.returncode, early.returncode) == (0, 2)
    assert "not ended yet: pipe_1, train" in running.stderr
    assert "had not ended when it was fetched" in early.stderr
    for run_id, state in (("run_1", "Failed"), ("pipe_1", "Failed")):
        end_run(azure, run_id, state)
    assert cli("fetch", "pipe_1", env=job).returncode == 0
    assert {path.name for path in (folder / "steps/train").iterdir()} == {
        *("azureml-logs", "logs", "step.json", "user_logs")
    }
    shown = cli("logs", "--driver", "run_1", "--contains", "bad batch", "--json")
    lines = json.loads(shown.stdout)
    assert {(line["file"], line["dimensions"]["team"]) for line in lines} == {
        ("azureml-logs/70_driver_log.txt", "nlp"),
        ("user_logs/std_log.txt", "nlp"),
    }
    errors = cli("errors", "all", "--dir", folder)
    assert (errors.returncode, "bad batch  team=nlp  rows=3" in errors.stdout) == (1, True)
    assert cli("deliver", "--dir", folder, env=job).returncode == 0
    messages = [envelope["data"]["baseData"].get("message") for envelope in azure.envelopes]
    assert messages.count("bad batch") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["r", "--workspace", "w"], "the workspace is incomplete: also set --subscription-id"),
        (["r", "--config", "missing.json"], "--config missing.json: no such file"),
        (["r", "-o", "file"], "file is not a directory"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Wrong arguments are reported before anything is requested."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=message):
        fetch.run(parser().parse_args(["fetch", *arguments]), {})


@pytest.mark.parametrize("text", ["much", "0", "-1", "1.5G", "", "G"])
def test_invalid_sizes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A size is a whole number with a unit."""
    assert parser().parse_args(["fetch", "r", "--max-bytes", "5M"]).max_bytes == 5_000_000
    with pytest.raises(SystemExit):
        parser().parse_args(["fetch", "r", "--max-bytes", text])
    assert "expected a number of bytes" in capsys.readouterr().err
