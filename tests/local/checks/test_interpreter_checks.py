"""Tests of the checks by the interpreters of steps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amllog.local.plan.planned_steps import EnvironmentReference, SourceLine

VERSION = ".".join(map(str, sys.version_info[:3]))
HERE = f"{sys.executable} (Python {VERSION})"


def step(project, script: str, **fields: object) -> None:
    """Add a step that runs a script."""
    project.write("src/train.py", script)
    project.add("python train.py", code=project.folder / "src", **fields)


def test_a_missing_package_is_an_error_at_its_import(project) -> None:
    """A package that the script surely imports and that the interpreter lacks is one error, with the remedy."""
    project.write("src/helper.py", "import json\nimport no_such_package.part\n")
    step(project, "import hypothesis, json\n\nimport helper\nimport no_such_package\n")
    assert project.findings() == [
        (
            f"src/train.py:4: the module no_such_package is not installed in {HERE}: install it (`{sys.executable} -m "
            "pip install no_such_package`), or select another one: --env '*=PYTHON'"
        )
    ]


def test_the_remedy_names_the_environment(project) -> None:
    """The remedy has the environment's name, the distribution's name, and the conda file if there is one."""
    environment = EnvironmentReference("azureml:train-env@latest", position=SourceLine(project.file, 2))
    step(project, "import azureml.no_such_part.x\n", environment=environment)
    [finding] = project.findings()
    assert finding.endswith(
        "pip install azureml-no_such_part`), or select another one: --env train-env=PYTHON"
    )


@pytest.mark.parametrize(
    "script",
    [
        "try:\n    import no_such_package\nexcept ImportError:\n    pass\n",
        "def f():\n    import no_such_package\n",
        "import os\nos.system('pip install no_such_package')\nimport no_such_package\n",
    ],
)
def test_imports_that_may_be_correct(project, script: str) -> None:
    """A package that may never be imported, or that the script installs, is not reported."""
    step(project, script)
    assert project.findings() == []


def test_a_changed_search_path_makes_it_a_warning(project) -> None:
    """A script that changes sys.path may find the module elsewhere."""
    step(project, "import sys\nsys.path.insert(0, 'x')\nimport no_such_package\n")
    assert [text.partition(": the")[0] for text in project.findings()] == ["src/train.py:3: warning"]


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("cd pkg && PYTHONPATH=.. python -m pkg.main", 1),
        ("export PYTHONPATH=$PWD/lib\npython -m no_such_package\npython train.py", 1),
        ("PYTHONPATH=lib python train.py", 1),
    ],
)
def test_a_search_path_of_the_command_makes_it_a_warning(project, command: str, count: int) -> None:
    """A command that sets PYTHONPATH may find the module elsewhere."""
    project.write("src/pkg/main.py", "")
    project.write("src/train.py", "import no_such_package\n")
    project.add(command, code=project.folder / "src")
    findings = project.findings()
    assert len(findings) == count
    assert all(": warning: " in finding for finding in findings)


def test_modules_by_name(project) -> None:
    """`python -m` of a package that is not installed is an error at the command."""
    project.add("python -m no_such_package.tool; python -m json.tool", code=None)
    assert [text.partition(" is not")[0] for text in project.findings()] == [
        "pipeline.yml:2: the module no_such_package"
    ]


def test_a_single_file_has_no_neighbours(project) -> None:
    """A script that is alone in the working directory cannot import a file beside it."""
    project.write("neighbour.py")
    code = project.write("train.py", "import neighbour\n")
    project.add("python train.py", code=code)
    assert [text.partition(" is not")[0] for text in project.findings()] == [
        "train.py:1: the module neighbour"
    ]


def test_syntax_errors(project) -> None:
    """A syntax error is reported by the interpreter of the step, at its line, also in a module of the code."""
    project.write("src/helper.py", "x = 1\nprint 'a'\n")
    step(project, "import helper\n")
    [finding] = project.findings()
    assert finding.startswith(f"src/helper.py:2: syntax error for Python {VERSION}: ")


def test_an_interpreter_that_does_not_start(project) -> None:
    """A broken interpreter is one error at the environment."""
    broken = project.write("python", "#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    step(project, "import os\n", interpreter=broken)
    assert project.findings() == [
        "pipeline.yml:1: interpreter: python is not a usable Python interpreter: broken"
    ]


def test_differences_from_the_conda_file_are_a_note(project) -> None:
    """Versions that the conda file names and the interpreter does not have are one note."""
    conda = project.write(
        "conda.yml", "dependencies:\n- python=3.1\n- pip:\n  - hypothesis==0.1\n  - pytest\n  - no-such-x\n"
    )
    for _ in range(2):
        project.add("echo", environment=EnvironmentReference(conda_file=conda))
    import hypothesis

    assert project.findings() == [
        (
            f"conda.yml: note: the interpreter differs from the conda file: Python 3.1 ({VERSION} here), "
            f"hypothesis==0.1 ({hypothesis.__version__} here), no-such-x (not installed)"
        )
    ]


def test_a_missing_package_of_the_conda_file_is_reported_once(project) -> None:
    """A package that is missing and imported is the error at its import only, with both remedies."""
    conda = project.write("conda.yml", "dependencies:\n- pip:\n  - no_such_package\n")
    step(project, "import no_such_package\n", environment=EnvironmentReference(conda_file=conda))
    [finding] = project.findings()
    assert finding.startswith("src/train.py:1: the module no_such_package")
    assert finding.endswith("or build the environment of its conda file: --env '*=venv'")


def test_a_conda_file_that_does_not_exist(project) -> None:
    """A missing conda file is an error at the environment."""
    line = SourceLine(project.file, 1)
    project.add("echo", environment=EnvironmentReference(conda_file=Path("/no/conda.yml"), position=line))
    assert project.findings() == ["pipeline.yml:1: conda_file /no/conda.yml: the file does not exist"]
