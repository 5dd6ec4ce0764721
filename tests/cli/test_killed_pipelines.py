"""Questions after a local run was killed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.cli.main import main

STEP = "type: command\ncommand: echo ready && exec sleep 600\n"


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs `amllog …` in this process and returns its answer."""

    def run(*words: str) -> str:
        main(words)
        return capsys.readouterr().out

    return run


def test_questions_settle_a_killed_run(answer: Callable[..., str], child: Any, tmp_path: Path) -> None:
    """A run that lives is left as it is. After `kill -9`, the next question knows its end, and its logs."""
    (tmp_path / "wait.yml").write_text(STEP)
    process = child.start([sys.executable, "-m", "amllog", "run", "wait.yml"])
    assert process.stdout.readline() == "wait | ready\n"
    (file,) = tmp_path.glob("amllog-runs/*/run.json")
    before = file.read_text()
    answer("runs")
    assert file.read_text() == before and json.loads(before)["state"] == "running"
    process.kill()
    process.communicate(timeout=600)
    assert " failed " in answer("runs")
    assert json.loads(file.read_text())["state"] == "killed"
    assert f"amllog logs --driver {file.parent.name} --step-name wait " in answer("story")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["amllog-runs", "amllog-runs/r", "amllog-runs/r/run.json", "journal"])
def test_runs_of_other_users(answer: Callable[..., str], tmp_path: Path, name: str) -> None:
    """A folder, a run or a journal of another user is not changed."""
    (tmp_path / "journal").mkdir()
    (tmp_path / ".amllog").mkdir()
    file = tmp_path / "amllog-runs" / "r" / "run.json"
    (file.parent / "azure").mkdir(parents=True)
    content = {"format": 1, "run_id": "r", "state": "running", "journal": str(tmp_path / "journal")}
    file.write_text(json.dumps(content))
    os.chown(tmp_path / name, 12_345, -1)
    answer("runs")
    assert json.loads(file.read_text())["state"] == "running"
    os.chown(tmp_path / name, 0, -1)
    answer("runs")
    assert json.loads(file.read_text())["state"] == "killed"
