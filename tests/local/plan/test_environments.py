"""Tests of the interpreters of steps."""

from __future__ import annotations

import sys
from pathlib import Path

from amllog.local.plan.asset_maps import option_maps
from amllog.local.plan.environments import EnvironmentResolver
from amllog.local.plan.planned_steps import EnvironmentReference, PlannedStep, SourceLine, StepKind

LINE = SourceLine(Path("/project/pipeline.yml"), 5)


def test_functions_run_with_the_current_interpreter(tmp_path: Path) -> None:
    """A plain function of a notebook needs the packages of its process, so no map changes its interpreter."""
    resolver = EnvironmentResolver(option_maps({}, {"*": "no-python"}, tmp_path))
    step = PlannedStep("f", LINE, StepKind.FUNCTION)
    assert (resolver.interpreter(step), resolver.findings) == (Path(sys.executable), [])


def test_a_virtual_environment_needs_a_conda_file(tmp_path: Path) -> None:
    """A registered environment has no conda file here, so the error names the forms that do."""
    resolver = EnvironmentResolver(option_maps({}, {"train-env": "venv"}, tmp_path))
    step = PlannedStep("s", LINE, environment=EnvironmentReference("azureml:train-env:1", position=LINE))
    assert resolver.interpreter(step) is None
    assert [str(finding) for finding in resolver.findings] == [
        (
            f"{LINE}: --env train-env=venv: environment train-env: it has no conda_file, from which a virtual "
            "environment could be built: name the file ({conda_file: PATH}) or an interpreter"
        )
    ]
