"""Runs that ended earlier, also by a kill, and runs of other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.execution.killed_runs import settle_killed_runs
from amllog.local.execution.past_runs import past_runs
from amllog.local.execution.run_folder import LocalRunFolder, StepRecord, write_json
from amllog.local.execution.step_events import RunState, StepState

PIPELINE = """
import os, sys
from pathlib import Path
from amllog.local.execution.run_options import RunOptions
from amllog.local.execution.runner import run
from amllog.local.plan.planned_steps import PlannedPipeline, PlannedStep, SourceLine
class Observer:
    started = changed = ended = lambda self, value: None
    def line(self, name, text): print(name, text, flush=True)
position = SourceLine(Path("p.yml"), 1)
steps = [PlannedStep(name, position, command=command, after=tuple(after.split()))
         for name, command, after in zip(*[iter(sys.argv[1:])] * 3)]
result = run(PlannedPipeline("p", position, tuple(steps)), RunOptions(), Observer(), {"PATH": os.environ["PATH"]})
sys.exit(result.exit_code)
"""


def start_run(folder: Path, *steps: str) -> subprocess.Popen[str]:
    """Start a run in a process. Each step has a name, a command, and the steps before it."""
    words = [sys.executable, "-c", PIPELINE, *steps]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)


def waits_for(condition: Callable[[], bool]) -> bool:
    """Wait until a condition is true, at most five minutes, and return whether it is."""
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, and return whether it has."""

    def is_no_process() -> bool:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    return waits_for(is_no_process)


def exists(file: Path) -> bool:
    """Wait until a file exists, and return whether it does."""
    return waits_for(file.exists)


def test_a_killed_runner_leaves_no_process_and_loses_no_line(tmp_path: Path) -> None:
    """After `kill -9` of the runner, the step is stopped, its last lines are in the log, and the run is `killed`."""
    command = "trap 'echo last; exit 1' TERM; echo $$; while :; do sleep 0.05; done"
    with start_run(tmp_path, "done", "true", "", "long", command, "done", "later", "true", "long") as process:
        assert process.stdout
        pid = int(process.stdout.readline().split()[1])
        process.kill()
    assert is_gone(pid)
    (run,) = past_runs(tmp_path / "amllog-runs")
    assert exists(run.folder / "steps/long/exit.json")
    log = (run.folder / "steps/long/user_logs/std_log.txt").read_text().split()
    assert (log[0], log[-1]) == (str(pid), "last")
    assert run.state is RunState.KILLED
    steps = {name: (record.state, record.reason) for name, record in run.steps.items()}
    assert steps == {"done": (StepState.COMPLETED, ""), "long": (StepState.CANCELED, "the run was killed")}
    for _ in "ab":  # the second time, everything is written already
        assert settle_killed_runs(past_runs(tmp_path / "amllog-runs")) == []
    assert json.loads((run.folder / "run.json").read_text())["state"] == "killed"
    lines = [
        line for file in (tmp_path / ".amllog").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    requests = [data for line in lines if "duration" in (data := json.loads(line)["data"]["baseData"])]
    results = {data["name"]: data["responseCode"] for data in requests}
    assert results == {"done": "0", "long": "the run was killed", "p": "the run was killed"}
    assert len(requests) == 3


def test_a_living_run_is_running(tmp_path: Path) -> None:
    """A run that another process holds is no killed run. Two runs at once have folders of their own."""
    with start_run(tmp_path, "a", "echo ready; exec sleep 1000", "") as first:
        assert first.stdout
        first.stdout.readline()
        with start_run(tmp_path, "b", "echo ready", "") as second:
            assert second.wait() == 0
        assert [run.state for run in past_runs(tmp_path / "amllog-runs")] == [
            RunState.COMPLETED,
            RunState.RUNNING,
        ]
        first.send_signal(signal.SIGTERM)
        assert first.wait() == 143
    assert {run.state for run in past_runs(tmp_path / "amllog-runs")} == {
        RunState.COMPLETED,
        RunState.CANCELED,
    }


def test_damaged_files_are_no_runs(tmp_path: Path) -> None:
    """A damaged or foreign file in the folder of runs is ignored, and nothing of it changes."""
    texts = [
        "{",
        "[]",
        '{"state": "running", "steps": 1}',
        '{"started": "2026-01-01", "state": "running"}',
        '{"format": 2, "state": "running"}',
        '{"format": 1, "started": "2026-01-01", "pid": "x"}',
    ]
    for name, text in enumerate(texts):
        (tmp_path / f"{name}/steps/x").mkdir(parents=True)
        (tmp_path / f"{name}/run.json").write_text(text)
        (tmp_path / f"{name}/steps/x/step.json").write_text('{"state": "x"}')
    runs = past_runs(tmp_path)
    assert [(run.run_id, run.state, run.steps) for run in runs] == [("5", RunState.KILLED, {})]
    assert settle_killed_runs(runs) == []
    assert [(tmp_path / f"{name}/run.json").read_text() for name in range(5)] == texts[:5]
    assert [path.name for path in (tmp_path / "0").iterdir() if path.name not in ("run.json", "steps")] == []


def test_a_run_that_ends_meanwhile_was_not_killed(tmp_path: Path) -> None:
    """A run that wrote its end after its file was read keeps it, although its process is gone."""
    folder = tmp_path / "r"
    folder.mkdir()
    write_json(folder / "run.json", {"format": 1, "run_id": "r", "state": "running"})
    runs = past_runs(tmp_path)
    write_json(folder / "run.json", {"format": 1, "run_id": "r", "state": "completed"})
    assert settle_killed_runs(runs) == []
    assert json.loads((folder / "run.json").read_text())["state"] == "completed"


def test_a_run_needs_a_folder(tmp_path: Path) -> None:
    """If the folder of the run cannot be created, the error names it."""
    (tmp_path / "amllog-runs").write_text("mine")
    with (
        pytest.raises(UsageError, match=r"The folder of the run cannot be created: .*amllog-runs"),
        LocalRunFolder(tmp_path / "amllog-runs", "r"),
    ):
        pass
    assert (tmp_path / "amllog-runs").read_text() == "mine"


def test_names_of_steps_are_names_of_folders(tmp_path: Path) -> None:
    """Dots of nested pipelines stay. Other names are escaped, and long ones shortened, so that no two are equal."""
    folder = LocalRunFolder(tmp_path, "r")
    names = ["outer.inner", "..", "a/b", "a%2Fb", "x" * 300, "x" * 301, "ä b", ".hidden"]
    folders = [folder.step(name) for name in names]
    assert folders[0].name == "outer.inner"
    assert len(set(folders)) == len(names)
    assert all(path.parent == folder.path / "steps" and len(os.fsencode(path.name)) < 255 for path in folders)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The file of a step has all of its fields. A file with others is none."""
    record = StepRecord("a", StepState.FAILED, "id", 1.0, 2.0, -9, "killed", "/f", "r/a", "k", {"out": "/o"})
    record.write(tmp_path)
    assert StepRecord.read(tmp_path) == record
    (tmp_path / "step.json").write_text('{"name": "a", "state": "failed", "new": 1}')
    assert StepRecord.read(tmp_path) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_an_error_with_the_file(tmp_path: Path) -> None:
    """A state that cannot be written is an error that names the file. The state before stays."""
    write_json(tmp_path / "run.json", {"state": "running"})
    (tmp_path / "run.json.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*run.json'"):
        write_json(tmp_path / "run.json", {"state": "completed"})
    assert json.loads((tmp_path / "run.json").read_text()) == {"state": "running"}
    assert not (tmp_path / "run.json.new").is_symlink()
