"""`amllog logs --driver`."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = """
import logging
import amllog

log = amllog.setup(step_name="train", dimensions={"team": "nlp"})
print("plain")
log.info("loaded", rows=10)
log.error("two\\nlines")
try:
    raise ValueError("bad batch")
except ValueError:
    log.exception("failed")
print(log.run.id)
"""
WRAPPER = "[2020-08-21T10:02:15.046085] Entering context manager injector.\n"


@pytest.fixture
def run(child: Any, tmp_path: Path) -> Path:
    """The folder of a local run of one step, whose journal is that of the test's directory."""
    output = child(SCRIPT).stdout
    step = tmp_path / "amllog-runs" / "run_1" / "steps" / "train"
    for name in ("user_logs", "../../azure"):
        (step / name).mkdir(parents=True)
    (step / "user_logs" / "std_log.txt").write_text(output)
    step_id = output.splitlines()[-1]
    (step / "step.json").write_text(json.dumps({"run_id": step_id, "name": "train", "state": "completed"}))
    (step.parents[1] / "run.json").write_text(json.dumps({"run_id": "run_1", "name": "p"}))
    return step.parents[1]


def test_lines_joined_with_records(run: Path, cli: Callable[..., Any]) -> None:
    """Each line is shown once and in order, and those of amllog with the dimensions that they lack."""
    shown = cli("logs", "--driver")
    lines = (run / "steps/train/user_logs/std_log.txt").read_text().splitlines()
    assert (shown.returncode, shown.stderr) == (0, "amllog: run run_1\n")
    assert [line.partition("  team=nlp")[0] for line in shown.stdout.splitlines()] == lines
    assert [line for line in shown.stdout.splitlines() if line.endswith("  team=nlp")] == [
        f"{line}  team=nlp" for line in lines if line.endswith((": loaded  rows=10", ": failed"))
    ]
    rows = json.loads(cli("logs", "run_1", "--driver", "--json").stdout)
    assert [row["text"] for row in rows] == lines
    joined = [row for row in rows if row["dimensions"]]
    assert [row["message"] for row in joined] == ["loaded", "two\nlines", "failed"]
    assert {row["dimensions"]["team"] for row in joined} == {"nlp"}
    assert "ValueError: bad batch" in joined[-1]["stack"]
    table = list(csv.DictReader(cli("logs", "--driver", "--csv", "--level", "error").stdout.splitlines()))
    assert [row["text"] for row in table] == lines[lines.index("    lines") - 1 : -1]


def test_empty_and_unreadable_logs(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """A log without lines is a log. A file that cannot be read is named, and the others are shown."""
    for name in ("one/user_logs", "two/logs/user"):
        (tmp_path / "down" / name).mkdir(parents=True)
    (tmp_path / "down/one/user_logs/std_log.txt").touch()
    shown = cli("logs", "--driver", "--dir", "down")
    assert (shown.stdout, shown.returncode) == ("", 0)
    assert shown.stderr == "amllog: run down\namllog: nothing found\n"
    (tmp_path / "down/one/user_logs/std_log.txt").write_text("here\n")
    os.mkfifo(tmp_path / "down/two/logs/job_error.txt")
    shown = cli("logs", "--driver", "--dir", "down")
    assert (shown.stdout, shown.returncode) == ("here\n", 0)
    assert "two: the cause is not known: " in shown.stderr and "job_error.txt" in shown.stderr


def test_a_download_of_the_legacy_runtime(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """Lines and files of the runtime are hidden, counted, and shown on request."""
    logs = tmp_path / "down" / "cool_name" / "azureml-logs"
    logs.mkdir(parents=True)
    (logs / "70_driver_log.txt").write_text(f"{WRAPPER}Hello\nCleanup took 0.12 seconds\n")
    (logs / "55_azureml-execution-n.txt").write_text("pulled\n")
    shown = cli("logs", "--driver", "--dir", "down")
    assert (shown.stdout, shown.returncode) == ("Hello\n", 0)
    assert shown.stderr == "amllog: run down\namllog: 2 lines of the runtime hidden: --runtime shows them\n"
    everything = cli("logs", "--driver", "--dir", "down", "--runtime").stdout
    assert "Entering context manager" in everything
    assert everything.endswith("== cool_name: azureml-logs/55_azureml-execution-n.txt\npulled\n")


def test_the_cause_of_a_parallel_job(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """The cause of a failed parallel job comes first, with the file that has it."""
    logs = tmp_path / "down" / "logs"
    for name in ("user/error/n", "user/stdout/n", "sys/error"):
        (logs / name).mkdir(parents=True)
    (logs / "user/error/n/process001.txt").write_text("Traceback (most recent call last):\nKeyError: 'x'\n")
    (logs / "user/stdout/n/process001.stdout.txt").write_text("printed\n")
    shown = cli("logs", "--driver", "--dir", "down").stdout
    assert shown == (
        "== down: the cause of the failure is in logs/user/error/n/process001.txt\n"
        "Traceback (most recent call last):\nKeyError: 'x'\n"
        "\n== down: logs/user/stdout/n/process001.stdout.txt\nprinted\n"
    )


def test_each_cause_is_that_of_its_own_step(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """A step that completed after the failed one does not change the cause that is shown."""
    for name, state in (("a", "failed"), ("b", "failed"), ("c", "completed")):
        step = tmp_path / "amllog-runs" / "run_1" / "steps" / name
        for folder in ("user_logs", "work/logs/user/error/n"):
            (step / folder).mkdir(parents=True)
        (step / "user_logs" / "std_log.txt").write_text(f"log of {name}\n")
        (step / "work/logs/user/error/n/process000.txt").write_text(f"ValueError: {name}\n")
        (step / "step.json").write_text(json.dumps({"run_id": name, "name": name, "state": state}))
    (tmp_path / "amllog-runs" / "run_1" / "run.json").write_text(json.dumps({"run_id": "run_1", "name": "p"}))
    lines = cli("logs", "--driver").stdout.splitlines()
    assert [line for line in lines if line.startswith("ValueError")] == ["ValueError: a", "ValueError: b"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dir", "empty"], 2, "no log files in empty"),
        (["--dir", "missing"], 2, "no such directory: missing"),
        ([], 2, "looked for ./amllog-runs and ./amllog-fetched"),
        (["--dir", "empty", "nix"], 2, "no driver logs of run nix"),
        (["--dir", "empty", "--since", "1h"], 2, "--since: selects records"),
    ],
)
def test_nothing_to_read(
    tmp_path: Path, cli: Callable[..., Any], arguments: list[str], code: int, message: str
) -> None:
    """Without a log, the exit code is 2 and the message says where it was looked for."""
    (tmp_path / "empty").mkdir()
    shown = cli("logs", "--driver", *arguments)
    assert (shown.returncode, shown.stdout) == (code, "")
    assert message in shown.stderr


def test_limits(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """The last lines, the first lines and a text can be selected, and nothing found is said."""
    (tmp_path / "r" / "user_logs").mkdir(parents=True)
    (tmp_path / "r" / "user_logs" / "std_log.txt").write_text(
        "".join(f"line {number}\n" for number in range(9))
    )
    last = cli("logs", "--driver", "--dir", "r", "-n", "2")
    assert last.stdout == "line 7\nline 8\n"
    assert cli("logs", "--driver", "--dir", "r", "--limit", "1").stdout == "line 0\n"
    nothing = cli("logs", "--driver", "--dir", "r", "--contains", "LINE 9")
    assert (nothing.returncode, nothing.stdout, nothing.stderr.splitlines()[-1]) == (
        0,
        "",
        "amllog: nothing found",
    )
