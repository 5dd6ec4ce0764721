"""`amllog run --debug`: a real client of the debug protocol attaches to a step and to a script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amllog.cli import pipeline_options
from amllog.cli.main import main

from ..debug_client import DebugClient  # isort: skip

PIPELINE = """
type: pipeline
jobs:
  prepare:
    command: echo prepared
  train:
    command: python train.py ${{inputs.rate}}
    code: src
    inputs: {rate: 0.5}
    limits: {timeout: 1}
  many:
    type: spark
    code: many
    entry: {file: score.py}
    conf:
      {spark.driver.cores: 1, spark.driver.memory: 1g, spark.executor.cores: 1, spark.executor.memory: 1g,
       spark.executor.instances: 1}
"""
SCRIPT = """
import sys

def score(rate):
    value = rate * 2
    return value

print("score", score(float(sys.argv[1])))
raise SystemExit(3) if sys.argv[2:] else ValueError("no model")
"""
LINE = 1 + SCRIPT.splitlines().index("    return value")
LAST = len(SCRIPT.splitlines())


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script, below a pipeline file that runs it."""
    (tmp_path / "src").mkdir()
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "score.py").write_text("def run(batch):\n    return batch\n")
    path = tmp_path / "src" / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def attach(request: pytest.FixtureRequest) -> Callable[..., tuple[DebugClient, dict[str, Any]]]:
    """A function that reads the configuration for launch.json from the output, and returns it with a client."""

    def attach(process: subprocess.Popen[str]) -> tuple[DebugClient, dict[str, Any]]:
        assert process.stdout
        line = next(line for line in process.stdout if '"debugpy"' in line)
        configuration = json.loads(line[line.index("{") :])
        client = DebugClient(**configuration["connect"])
        request.addfinalizer(client.close)
        return client, configuration

    return attach


def test_a_step_of_a_pipeline_is_debugged(child: Any, attach: Any, script: Path) -> None:
    """A breakpoint in the source folder stops the step, whose time limit does not count, and its exit code is kept."""
    command = ("run", "--debug", "train", "--only", "train", "pipeline.yml")
    process = child.start([sys.executable, "-m", "amllog"], *command)
    client, configuration = attach(process)
    assert configuration["pathMappings"][0]["localRoot"] == str(script.parent)
    client.attach(configuration, {str(script): [LINE]}, ["uncaught"])
    event, frame = client.stop()
    assert (frame["line"], client.variables(frame)["value"]) == (LINE, "1.0")
    client.proceed(event)
    event, frame = client.stop()
    assert (event["reason"], frame["line"]) == ("exception", LAST)
    client.proceed(event)
    client.end()
    output = process.communicate()[0]
    assert process.returncode == 1
    assert "train   | score 1.0" in output and "ValueError: no model" in output


def test_a_script_is_debugged(child: Any, attach: Any, script: Path) -> None:
    """A script stops at a breakpoint, and where an exception ends it."""
    process = child.start([sys.executable, "-m", "amllog"], "run", "--debug", str(script), "2")
    client, configuration = attach(process)
    assert "pathMappings" not in configuration
    client.attach(configuration, {str(script): [LINE]}, ["uncaught"])
    event, frame = client.stop()
    assert (frame["line"], client.variables(frame)["value"]) == (LINE, "4.0")
    client.proceed(event)
    event, frame = client.stop()
    assert (event["reason"], frame["source"]["path"], frame["line"]) == ("exception", str(script), LAST)
    client.proceed(event)
    client.end()
    assert "ValueError: no model" in process.communicate()[1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "many",
            "--debug many: steps of type spark are not started under a debugger. Call amllog.debug()",
        ),
        ("none", "--debug none: the pipeline has no such step. Its steps are prepare, train, many"),
    ],
)
def test_a_step_that_cannot_be_debugged_is_rejected(
    step: str, message: str, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing runs if the step does not exist or has a type that no debugger is started for."""
    monkeypatch.chdir(script.parent.parent)
    assert main(["run", "pipeline.yml", "--debug", step]) == 2
    assert message in capsys.readouterr().err
    assert not Path("amllog-runs").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --debug train.py --debug x.py", "run --debug=* train.py --debug x.py"),
        ("run --debug -m package", "run --debug=* -m package"),
        ("run --debug job.yml", "run --debug=* job.yml"),
        ("run --debug train job.yml", "run --debug train job.yml"),
        ("run train.py --debug a.py", "run train.py --debug a.py"),
        ("run --debug", "run --debug"),
        ("logs --debug a.py", "logs --debug a.py"),
    ],
)  # fmt: skip
def test_the_step_is_optional_before_a_file(line: str, expected: str) -> None:
    """`--debug FILE` names no step. Arguments of a script stay as they are."""
    assert pipeline_options.complete_debug(line.split()) == expected.split()
