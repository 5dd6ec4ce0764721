"""The order, the limits and the failures of a fetch, from runs that are folders on this machine."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.driver_logs.log_folders import find_jobs
from amllog.insights.fetch.fetching import Fetch, FetchReport, reason
from amllog.insights.fetch.remote_runs import RemoteRun


class FolderRuns:
    """Runs in folders: a `RemoteRuns` without a workspace."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, {"run_1": "failed", "s1": "completed", "s2": "failed"}
        self.loaded: Counter[str] = Counter()
        self.wait = threading.Event()
        self.wait.set()
        self.extra: list[str] = []

    def run(self, run_id: str) -> RemoteRun:
        return RemoteRun(run_id, f"name of {run_id}", self.states[run_id], run_id)

    def descendants(self, run_id: str) -> Sequence[RemoteRun]:
        return [self.run(name) for name in ("s2", "s1")] if run_id == "run_1" else []

    def files(self, run_id: str) -> Sequence[str]:
        folder = self.folder / run_id
        return [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ] + self.extra

    def download(self, run_id: str, name: str, target: Path) -> None:
        self.wait.wait()
        self.loaded[f"{run_id}/{name}"] += 1
        shutil.copyfile(self.folder / run_id / name, target)


@pytest.fixture
def source(tmp_path: Path) -> FolderRuns:
    """A pipeline run with two steps."""
    for run_id in ("s1", "s2"):
        for name in ("user_logs/std_log.txt", "outputs/model.bin"):
            path = tmp_path / "remote" / run_id / name
            path.parent.mkdir(parents=True)
            path.write_text(run_id)
    return FolderRuns(tmp_path / "remote")


def fetch(source: FolderRuns, directory: Path, seconds: float = 600, **limits: int) -> FetchReport:
    """Fetch the pipeline run."""
    return Fetch(source, directory, seconds=seconds, **limits).fetch("run_1")


def test_a_pipeline_run(source: FolderRuns, tmp_path: Path) -> None:
    """All steps are fetched into one folder, in the order of their start, and nothing else is left there."""
    report = fetch(source, tmp_path / "here")
    assert (report.all_failures, report.folder) == ([], tmp_path / "here" / "run_1")
    jobs = find_jobs(report.folder, [])
    assert [(job.name, job.run_id, job.state) for job in jobs] == [
        ("name of s1", "s1", "completed"),
        ("name of s2", "s2", "failed"),
    ]
    files = {
        path.relative_to(report.folder).as_posix() for path in report.folder.rglob("*") if path.is_file()
    }
    steps = [f"steps/name of {run_id}" for run_id in ("s1", "s2")]
    assert files == {
        "run.json",
        *(f"{step}/{name}" for step in steps for name in ("step.json", "user_logs/std_log.txt")),
    }


def test_a_second_fetch_loads_what_is_missing(source: FolderRuns, tmp_path: Path) -> None:
    """Files that are here are not loaded again, and those of a step that had not ended are."""
    source.states["s2"] = "running"
    fetch(source, tmp_path)
    source.states["s2"] = "failed"
    assert [run.kept for run in fetch(source, tmp_path).runs] == [0, 1, 0]
    assert [run.kept for run in fetch(source, tmp_path).runs] == [0, 1, 1]
    assert source.loaded == {"s1/user_logs/std_log.txt": 1, "s2/user_logs/std_log.txt": 2}


def test_failures_do_not_stop_the_others(source: FolderRuns, tmp_path: Path) -> None:
    """A file that cannot be loaded and a name that leads out of the folder are reported, and the rest is fetched."""
    source.extra = ["user_logs/gone.txt", "logs/../../../escaped.txt"]
    report = fetch(source, tmp_path / "here")
    failures = report.all_failures
    assert [("gone.txt: FileNotFoundError" in text, "'..'" in text) for text in failures[2:4]] == [
        (False, True),
        (True, False),
    ]
    assert [run.loaded for run in report.runs] == [0, 1, 1]
    assert not list(tmp_path.rglob("escaped.txt"))
    source.extra = []
    assert [run.kept for run in fetch(source, tmp_path / "here").runs] == [0, 1, 1]


def test_the_time_limit(source: FolderRuns, tmp_path: Path) -> None:
    """A service that does not answer ends the fetch with a report, and the next one continues."""
    source.wait.clear()
    report = fetch(source, tmp_path, seconds=5)  # the download begins within this time
    source.wait.set()
    assert "within 5 s (--timeout)" in report.all_failures[-1]
    assert json.loads((tmp_path / "run_1/steps/name of s1/step.json").read_text())["is_complete"] is False
    assert fetch(source, tmp_path).all_failures == []


KILLED = """
import sys, threading
from pathlib import Path
from amllog.insights.fetch.fetching import Fetch
from amllog.insights.fetch.remote_runs import RemoteRun

class Runs:
    def run(self, run_id):
        return RemoteRun(run_id, "train", "failed")
    def descendants(self, run_id):
        return []
    def files(self, run_id):
        return ["user_logs/a.txt", "user_logs/b.txt"]
    def download(self, run_id, name, target):
        target.write_text("torn" if "b" in name else "whole")
        if "b" in name:
            print("ready", flush=True)
            threading.Event().wait(600)

Fetch(Runs(), Path("here"), seconds=600).fetch("s1")
"""


def test_a_killed_fetch(child: Any, tmp_path: Path) -> None:
    """After a kill, no file is torn, and the next fetch loads what is missing."""
    process = child.start(KILLED)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    place = tmp_path / "here" / "s1" / "user_logs"
    assert [path.read_text() for path in place.iterdir()] == ["whole"]
    source = FolderRuns(tmp_path / "remote")
    for name in ("a", "b"):
        path = tmp_path / "remote" / "s1" / "user_logs" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("whole")
    report = Fetch(source, tmp_path / "here", seconds=600).fetch("s1")
    assert report.all_failures == []
    assert [path.read_text() for path in place.iterdir()] == ["whole"] * 2


def test_the_limit_of_the_size(source: FolderRuns, tmp_path: Path) -> None:
    """A fetch ends when its files are larger than allowed."""
    report = fetch(source, tmp_path, max_bytes=1)
    assert report.all_failures == ["more than 1 bytes (--max-bytes); fetch again for the rest"]
    assert sum(run.loaded for run in report.runs) == 1


def test_a_run_that_cannot_be_read(source: FolderRuns, tmp_path: Path) -> None:
    """An unknown run is an error with the cause, and nothing is written."""
    with pytest.raises(UsageError, match="run nix cannot be read: KeyError"):
        Fetch(source, tmp_path / "here", seconds=600).fetch("nix")
    assert not (tmp_path / "here").exists()


def test_a_full_disk(source: FolderRuns, tmp_path: Path) -> None:
    """A file that cannot be written is reported with its name."""
    source.extra = ["user_logs/std_log.txt/below"]
    assert any("std_log.txt/below: " in text for text in fetch(source, tmp_path).all_failures)


class NoString(Exception):
    """An error like those of azureml that cannot be converted to a string."""

    message = "Run nix was not found"

    def __str__(self) -> str:
        raise TypeError


def test_errors_without_a_string() -> None:
    """The message of an error is used where its string fails, and secrets in it are masked."""
    assert reason(NoString()) == "NoString: Run nix was not found"
    assert "sig=abc" not in reason(
        OSError("https://x.blob.core.windows.net/c/b?sp=r&sig=abcdefghijklmnopqrstuvwxyz0123456789%3D")
    )
