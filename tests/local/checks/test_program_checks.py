"""Tests of the checks of scripts and executables."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.plan.planned_steps import LocalData, ParallelTask, SparkTask, StepKind

NOWHERE = "no-such-program"


def test_correct_programs(project) -> None:
    """Scripts and modules of the code, programs of the shell and of PATH give nothing."""
    project.write("src/train.py", "import json, helper")
    project.write("src/helper.py")
    project.write("src/pkg/part.py")
    project.write("lib/tool.py")
    code = project.folder / "src"
    project.add("cd pkg && python part.py; ls -l | wc; export A=1; echo done", code=code)
    project.add("python -m pkg.part && python -m json.tool x || true", code=code)
    project.add("python ${{inputs.lib}}/tool.py", inputs={"lib": LocalData(project.folder / "lib")})
    project.add("python train.py", code=code / "train.py", environment_variables={"PYTHONPATH": "."})
    project.steps.pop()  # a single file has no helper
    project.add("python pkg/part.py", code=code, environment_variables={"PYTHONPATH": "pkg:no"})
    project.steps = [step for step in project.steps if "pkg/part" not in step.command]
    assert [text for text in project.findings() if "share the folder" not in text] == []


@pytest.mark.parametrize(
    ("command", "finding"),
    [
        ("python trian.py", "script trian.py does not exist in src. Did you mean train.py?"),
        ("cd pkg && python train.py", "script pkg/train.py does not exist in src"),
        ("python -m pkg.no", "module pkg.no does not exist in src"),
        ("python secret.py", "script secret.py is excluded by .amlignore of src"),
        ("python ../src/train.py", "script ../src/train.py does not exist in src"),
        ("python /no/x.py", "script /no/x.py does not exist in src"),
        ("bash no.sh", "file no.sh does not exist in src"),
        ("./train.py", "command: src/train.py is not executable: chmod +x src/train.py"),
        ("python train.py --a 'b", "command: the quote ' does not end"),
        (
            f"{NOWHERE} x",
            f"command: {NOWHERE} is not on PATH: install it, or use --skip s0, or --stub s0=FOLDER",
        ),
    ],
)
def test_one_mistake(project, command: str, finding: str) -> None:
    """A missing script, module or program is one error at the line of the command."""
    project.write("src/train.py")
    project.write("src/secret.py")
    project.write("src/pkg/part.py")
    project.write("src/.amlignore", "secret.py\n")
    project.add(command, code=project.folder / "src")
    assert [text[: len(finding) + 16] for text in project.findings()] == [f"pipeline.yml:2: {finding}"]


def test_the_line_of_a_command_in_a_block(project) -> None:
    """In a command of several lines, the line of the script is named."""
    project.write("src/a.py")
    step = project.add("python a.py\npython b.py", code=project.folder / "src")
    project.file.write_text("s0:\n  command: |\n    python a.py\n    python b.py\n")
    assert step.command.endswith("b.py")
    assert project.findings() == ["pipeline.yml:4: script b.py does not exist in src"]


def test_programs_whose_failure_is_handled(project) -> None:
    """A missing program whose failure may be handled is a warning."""
    project.write("src/a.py")
    project.add(f"{NOWHERE} || true", code=project.folder / "src")
    project.add("python b.py || true", code=project.folder / "src")
    assert [text.partition(" is")[0].partition(" does")[0] for text in project.findings()][-2:] == [
        f"pipeline.yml:2: warning: command: {NOWHERE}",
        "pipeline.yml:4: warning: script b.py",
    ]


def test_a_step_without_code(project) -> None:
    """A script of a step without code cannot be there, and the message states the reason."""
    project.add("python train.py")
    expected = "script train.py does not exist in an empty folder: the step has no `code`"
    assert project.findings() == [f"pipeline.yml:2: {expected}"]


def test_programs_of_the_environment(project) -> None:
    """A program in the folder of the interpreter is found. Without an interpreter, programs are not checked."""
    project.write("venv/bin/mytool")
    project.add("mytool", interpreter=project.folder / "venv" / "bin" / "python")
    project.add("other-tool-nowhere", interpreter=None)
    assert project.findings() == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (None, "entry_script score.py does not exist in src"),
        ("def init(): pass", "entry_script: src/score.py has no function run(mini_batch)"),
        ("def run(mini_batch): return []", None),
    ],
)
def test_parallel_scripts(project, text: str | None, finding: str | None) -> None:
    """The entry script of a parallel step exists and has the function `run`."""
    project.write("src/x.txt")
    if text is not None:
        project.write("src/score.py", text)
    task = ParallelTask("score.py", "data")
    project.add(kind=StepKind.PARALLEL, parallel=task, code=project.folder / "src")
    assert project.findings() == ([f"pipeline.yml:1: {finding}"] if finding else [])


def test_spark_files(project) -> None:
    """The entry and the other files of a spark step exist in its code. Addresses are not checked."""
    project.write("src/main.py")
    task = SparkTask("main.py", py_files=("lib.zip", "wasbs://c@a/x.zip"), jars=("a.jar",))
    project.add(kind=StepKind.SPARK, spark=task, code=project.folder / "src")
    assert project.findings() == [
        "pipeline.yml:1: py_files lib.zip does not exist in src",
        "pipeline.yml:1: jars a.jar does not exist in src",
    ]


def test_missing_code_is_one_error(project) -> None:
    """Without the code folder, its scripts are not reported too."""
    project.add("python train.py", code=Path(project.folder / "no"))
    assert project.findings() == ["pipeline.yml:1: code: no does not exist"]


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python train.py | tee log", "python"),
        ("echo a && python3 -c 'print(1)' 2>&1 | tee log && echo b", "python3"),
        ("cat in.csv | python train.py |& grep -v x", "python"),
        ("set -e; ./train.py | tee log; echo b", "./train.py"),
        ("set -eo pipefail; python train.py | tee log", ""),
        ("python train.py | tee log; exit ${PIPESTATUS[0]}", ""),
        ("python train.py | tee log || true", ""),
        ("python train.py | tee log; echo b", ""),  # the failure is lost without the pipe, too
        ("cat in.csv | head | python train.py", ""),
        ("ls | wc; python --version | tee log", ""),
    ],
)
def test_failures_that_a_pipe_hides(project, command: str, program: str) -> None:
    """A program of the code before a pipe is one warning with the remedy, unless its failure is seen or handled."""
    project.write("src/train.py").chmod(0o755)
    project.add(command, code=project.folder / "src")
    warnings = [text for text in project.findings() if "pipe" in text]
    assert [text.partition(" is lost")[0] for text in warnings] == (
        [f"pipeline.yml:2: warning: command: a failure of {program}"] if program else []
    )
    assert all(text.endswith("`set -o pipefail;`") for text in warnings)
