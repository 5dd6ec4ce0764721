"""`amllog run` with a file of Azure ML's format."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyte
import pytest

from amllog.cli.main import main

from .conftest import run_on_terminal  # isort: skip

PIPELINE = """
type: pipeline
inputs:
  count: 2
jobs:
  prepare:
    command: >-
      printf 'a\\rbar %s\\n' ${{inputs.count}} && echo rows > ${{outputs.rows}}/x
    environment: azureml:e@latest
    inputs: {count: "${{parent.inputs.count}}"}
    outputs: {rows: {type: uri_folder}}
  train:
    command: cat ${{inputs.rows}}/x && echo "no such layer" >&2 && exit 3
    environment: azureml:e@latest
    inputs: {rows: "${{parent.jobs.prepare.outputs.rows}}"}
    outputs: {model: {type: uri_folder}}
  score:
    command: echo never
    environment: azureml:e@latest
    inputs: {model: "${{parent.jobs.train.outputs.model}}"}
"""
COMPONENT = """
type: command
name: greet
inputs:
  name: {type: string}
command: echo "hello ${{inputs.name}}"
environment: azureml:e@latest
"""


class Ran(NamedTuple):
    """The exit code and the output of a command in this process."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def amllog(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """A function that runs `amllog …` in this process, which starts faster than another one."""

    def run(*words: str) -> Ran:
        code = main(words)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline whose second step fails."""
    file = tmp_path / "pipeline.yml"
    file.write_text(PIPELINE)
    return file


def test_a_failed_run(amllog: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    """Lines have the name of their step, the others are notices, and the end is a summary with the story."""
    ran = amllog("run", "pipeline.yml", "--input", "count=7")
    assert ran.returncode == 1
    assert "prepare | bar 7\n" in ran.stdout and "train   | rows\n" in ran.stdout
    assert "amllog run: train failed after" in ran.stderr and ": exit code 3\n" in ran.stderr
    assert "amllog run: score skipped: requires train, which failed\n" in ran.stderr
    assert re.search(r"\nrun \w+: failed\nstep +state +time +reason\nprepare +completed ", ran.stdout)
    (folder,) = (tmp_path / "amllog-runs").glob("*_*")
    assert f"folder: amllog-runs/{folder.name}\n" in ran.stdout
    assert f"\nrun {folder.name} of " in ran.stdout and "failure in step train at" in ran.stdout
    assert folder.name in amllog("runs").stdout


def test_the_line_in_the_source(amllog: Callable[..., Ran], tmp_path: Path) -> None:
    """A traceback names the copy in which the step ran, and the summary the file to edit."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print('start')\n1 / 0\n")
    (tmp_path / "train.yml").write_text("type: command\ncode: src\ncommand: python -S train.py\n")
    ran = amllog("run", "train.yml")
    assert ran.returncode == 1
    assert "\ntrain: in your source: src/train.py:2\n" in ran.stdout


def test_check_runs_nothing(amllog: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    """Findings are the answer, in the form `file:line: message`, and errors are exit code 1."""
    ran = amllog("run", "--check", "pipeline.yml")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "amllog run: pipeline.yml: no findings\n"
    file.write_text(PIPELINE.replace("jobs.train", "jobs.trian"))
    ran = amllog("run", "pipeline.yml", "--check")
    assert ran.returncode == 1
    line = PIPELINE[: PIPELINE.index("jobs.train.")].count("\n") + 1
    assert re.match(rf"pipeline\.yml:{line}: .*trian", ran.stdout)
    assert ran.stderr == "amllog run: pipeline.yml: 1 error\n"
    ran = amllog("run", "pipeline.yml")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"pipeline.yml:{line}: " in ran.stderr
    assert ran.stderr.endswith("amllog run: pipeline.yml: 1 error, nothing was run\n")
    assert not (tmp_path / "amllog-runs").exists() and not (tmp_path / ".amllog").exists()


def test_a_component_with_inputs(child: Any, tmp_path: Path) -> None:
    """A component is a job with the inputs of the command line, and nobody has to read its lines."""
    (tmp_path / "greet.yml").write_text(COMPONENT)
    command = '"$0" -m amllog run greet.yml --input name=you | { read line; echo "got $line"; }; exit ${PIPESTATUS[0]}'
    ran = child(["bash", "-c", command, sys.executable])
    assert (ran.returncode, ran.stdout) == (0, "got greet | hello you\n")


def test_ctrl_c(child: Any, tmp_path: Path) -> None:
    """Ctrl-C stops the steps, and the exit code is 130."""
    (tmp_path / "wait.yml").write_text("type: command\ncommand: echo ready && sleep 600\n")
    process = child.start([sys.executable, "-m", "amllog", "run", "wait.yml"])
    assert process.stdout.readline() == "wait | ready\n"
    os.killpg(process.pid, signal.SIGINT)
    stdout, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in stdout


CLOSED = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-m", "amllog", "run", "wait.yml"])
shown = b""
while b"wait | ready" not in shown:
    shown += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_closed_terminal(child: Any, tmp_path: Path) -> None:
    """A terminal that is closed stops the steps, and the exit code is 129 although nobody can read the summary."""
    (tmp_path / "wait.yml").write_text("type: command\ncommand: echo ready && sleep 600\n")
    assert child([sys.executable, "-c", CLOSED], env={"TERM": "dumb"}).stdout == "129\n"
    state = json.loads(next(tmp_path.glob("amllog-runs/*/run.json")).read_text())["state"]
    assert state == "canceled"


def test_options_of_pipelines_before_a_script(amllog: Callable[..., Ran], tmp_path: Path) -> None:
    """They are rejected, because the script would not get them."""
    (tmp_path / "train.py").write_text("print('ran')")
    ran = amllog("run", "--check", "--jobs", "2", "train.py")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--check, --jobs: for a pipeline, a job or a component" in ran.stderr


def test_wrong_usage(amllog: Callable[..., Ran], file: Path) -> None:
    """A file that does not exist, an unknown option and an unknown step are wrong usage, and nothing runs."""
    for words, message in [
        (["missing.yml"], "there is no file missing.yml in"),
        (["pipeline.yml", "--chek"], "did you mean --check?"),
        (["pipeline.yml", "--skip", "trian"], "--skip trian: the pipeline has no such step"),
    ]:
        ran = amllog("run", *words)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert message in ran.stderr


def test_a_terminal(tmp_path: Path) -> None:
    """A terminal shows the table of the steps below their lines, and the summary in its place."""
    (tmp_path / "greet.yml").write_text(COMPONENT)
    words = ("run", "greet.yml", "--input", "name=you")
    output, code = run_on_terminal(*words, env={"TERM": "xterm", "COLUMNS": "80", "LINES": "24"})
    assert code == 0
    assert "\x1b[36mgreet | \x1b[0mhello you\n" in output
    assert re.search(r"─{60}.*\ngreet  .*running", output)
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(output.replace("\n", "\r\n"))
    shown = [line.rstrip() for line in screen.display if line.strip()]
    assert shown[0] == "greet | hello you"
    assert shown[1].endswith(": completed") and len(shown) == 5


WEIGHT = """
import sys
from pathlib import Path
from amllog.cli.main import main

Path("p.yml").write_text("{type: pipeline, jobs: {a: {command: 'true'}}}")
code = main(["run", "p.yml"])
print(code, *sorted(sys.modules), file=sys.stderr)
"""
NOT_NEEDED = re.compile(
    r"amllog\.insights\.(insights|connection|questions|query\.result|stores|fetch|driver_logs|reports\.story).*"
    r"|amllog\.cli\.(fetch|compact|alert|serve|query_arguments|query_commands|status)"
    r"|amllog\.local\.(job_records\.driver_tracebacks|step_kinds\.function_step)"
    r"|(duckdb|azure|azureml|requests|urllib3|mlflow|debugpy|pandas)"
)


def test_a_run_imports_what_it_needs(child: Any) -> None:
    """A run without a failed step imports no reader of records, no other command and no client of a service."""
    ran = child(WEIGHT)
    code, *names = ran.stderr.splitlines()[-1].split()
    assert code == "0", ran.stderr
    assert "amllog.local.execution.runner" in names
    assert [name for name in names if NOT_NEEDED.fullmatch(name)] == []
