"""Tests of the programs that the command of a step starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.checks.step_programs import (
    Executable,
    ProgramFile,
    PythonProgram,
    command_of,
    commands_of,
    programs_of,
)
from amllog.local.plan.planned_steps import (
    LiteralValue,
    LocalData,
    NamedData,
    PlannedOutput,
    PlannedStep,
    SourceLine,
    StepOutput,
)

LINE = SourceLine(Path("pipeline.yml"), 3)


def step_of(command: str) -> PlannedStep:
    """Return a step with this command, and inputs of each kind."""
    inputs = {
        "n": LiteralValue(3, "integer"),
        "src": LocalData(Path("/src")),
        "named": NamedData("azureml:x:1", "uri_file", LINE),
        "other": StepOutput("a", "b"),
    }
    return PlannedStep("s", LINE, command=command, inputs=inputs, outputs={"o": PlannedOutput()})


def programs(command: str) -> list[PythonProgram | Executable | ProgramFile]:
    """Return the programs of a command."""
    return list(programs_of(commands_of(step_of(command))))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py --n ${{inputs.n}}", [PythonProgram("train.py")]),
        ("python -u -W ignore -X dev a/train.py", [PythonProgram("a/train.py")]),
        ("python3 -m pkg.train -x", [PythonProgram(module="pkg.train")]),
        ("python ${{inputs.src}}/train.py", [PythonProgram("/src/train.py")]),
        ("python ${{inputs.other}}/x.py; python -c 'import no'; python", []),
        ("cd a && cd b; python x.py", [PythonProgram("x.py", folder="a/b")]),
        ("cd $X; python x.py", []),
        ("python x.py || echo no", [PythonProgram("x.py", is_certain=False), Executable("echo", False)]),
        (
            "pip install x && python x.py",
            [Executable("pip"), PythonProgram("x.py", are_packages_known=False)],
        ),
        ("git clone u; python x.py", [Executable("git")]),
        ("echo 1 > x.py; python x.py", [Executable("echo")]),
        ("cd a; ./run.sh; python x.py", [ProgramFile("./run.sh", "a", is_executed=True)]),
        ("Rscript a.R $[[--x ${{inputs.missing}}]]", [Executable("Rscript"), ProgramFile("a.R")]),
        ("bash -c 'x'; bash; bash b.sh", [Executable("bash"), Executable("bash"), Executable("bash")]),
        ("python3.7 x.py", [Executable("python3.7"), PythonProgram("x.py", are_packages_known=False)]),
    ],
)
def test_programs(command: str, expected: list[PythonProgram | Executable | ProgramFile]) -> None:
    """Scripts, modules and executables are known, and what an earlier command may create or install is not."""
    assert programs(command) == expected


def test_python_installs_with_its_module() -> None:
    """After `python -m pip`, the packages are not known."""
    last = programs("python -m pip install x; python x.py")[-1]
    assert last == PythonProgram("x.py", are_packages_known=False)


def test_arguments_of_sdk_v1() -> None:
    """The words of a step of SDK v1 are not read by a shell."""
    step = PlannedStep("s", LINE, arguments=("python", "a b.py", "${{inputs.x}}"))
    assert list(programs_of(commands_of(step))) == [PythonProgram("a b.py")]
    assert commands_of(PlannedStep("s", LINE, arguments=())) == []


def test_commands_that_cannot_be_read() -> None:
    """An expression without a value is reported by the definition, so there is no command to check."""
    assert command_of(step_of("python ${{inputs.unknown}}")) is None
    assert programs("python ${{inputs.unknown}}") == []
    assert command_of(step_of("a ${{search_space.lr}} ${{outputs.o}}")) == "a \ue000 \ue000"
