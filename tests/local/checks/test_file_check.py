"""Tests of the check of a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from amllog.local.checks.file_check import CheckOptions, check_file, check_source, relative
from amllog.local.plan.planned_steps import NamedData, Severity, SourceLine, StepKind, StepOutput


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is a finding."""
    plan, findings = check_file(tmp_path / "no.yml", {}, CheckOptions())
    assert (plan, [str(f) for f in findings]) == (None, [f"{tmp_path / 'no.yml'}: the file does not exist"])


def test_which_steps_are_checked(project) -> None:
    """Nothing is reported about stubbed and skipped steps, and about those that need a skipped one."""
    missing = {"d": NamedData("azureml:d:1", "uri_file", SourceLine(project.file, 1))}
    project.add(kind=StepKind.UNSUPPORTED, skip_reason="automl", inputs=missing)
    project.add("python no.py", inputs={"x": StepOutput("s0", "o"), **missing})
    project.add("python no.py", inputs={"x": StepOutput("s1", "o")})
    other = project.add("python other.py")

    def lines(**options: object) -> list[str]:
        plan, findings = check_source(project.plan(), CheckOptions(directory=project.folder, **options))
        assert (plan is None) is any(finding.severity is Severity.ERROR for finding in findings)
        return [str(finding).replace(f"{project.folder}/", "")[:40] for finding in findings]

    automl = "pipeline.yml:1: warning: the step s0 is "
    assert lines() == [automl, "pipeline.yml:8: script other.py does not"]
    assert lines(skip=[other.name]) == [automl]
    assert lines(stubs=["s0"], only=["s1", "s2"]) == [
        "pipeline.yml:1: no local path for azurem",
        "pipeline.yml:4: script no.py does not ex",
        "pipeline.yml:6: script no.py does not ex",
    ]
    assert lines(stubs=["s0", "s1", "s2", "s3"]) == []


def test_a_correct_plan_is_resolved(project) -> None:
    """A plan without an error is returned with the interpreter of each step, by the map file of the directory."""
    project.write("amllog.yml", f"environments:\n  '*': {sys.executable}\n")
    project.add("echo")
    plan, findings = check_source(project.plan(), CheckOptions(directory=project.folder))
    assert findings == []
    assert plan is not None
    assert plan.steps[0].interpreter == Path(sys.executable)


def test_registered_components(project) -> None:
    """A component of a workspace is read from the file that the map names. Without one, its step is skipped."""
    project.write("prep.yml", "type: command\nname: prep\ncommand: echo 1\nenvironment: azureml:e@latest\n")
    project.write(
        "pipeline.yml", "type: pipeline\njobs:\n  a:\n    component: azureml:prep@latest\n    type: command\n"
    )
    path = project.folder / "pipeline.yml"
    _, findings = check_file(path, {}, CheckOptions(directory=project.folder))
    assert [str(finding) for finding in findings] == [
        (
            f"{path}:3: warning: the step a is skipped: its component azureml:prep@latest is in a workspace, and not "
            "on this machine. `prep: PATH` below `components:` in amllog.yml maps it, and --stub a=FOLDER provides its "
            "outputs"
        )
    ]
    project.write("amllog.yml", "components:\n  prep: prep.yml\n")
    plan, findings = check_file(path, {}, CheckOptions(directory=project.folder))
    assert findings == []
    assert plan is not None
    assert plan.steps[0].command == "echo 1"


def test_relative_paths(project) -> None:
    """The findings about a file with a relative path have relative paths, also above the directory."""
    project.add("python no.py", code=project.write("src/train.py").parent)
    _, findings = check_source(project.plan(), CheckOptions(directory=project.folder))
    shown = [str(finding) for finding in relative(findings, project.folder)]
    assert shown == ["pipeline.yml:2: script no.py does not exist in src"]
    [finding] = relative(findings, project.folder / "src")
    assert str(finding.position) == f"..{os.sep}pipeline.yml:2"
