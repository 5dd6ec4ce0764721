"""Tests of the warning about steps without an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.checks.file_check import CheckOptions, check_file

STEP = "  {name}: {{command: echo 1}}\n"
COMPONENT = "name: c\ntype: command\ncommand: echo 1\n"
ENDS = ", which Azure ML requires: add `environment: azureml:NAME@latest`"
ENVIRONMENT = "environment: azureml:e@latest"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("type: command\ncommand: echo 1\n", "1: warning: the job has"),
        (f"type: pipeline\njobs:\n{STEP.format(name='a')}", "3: warning: the step a has"),
        (
            "type: pipeline\njobs:\n" + "".join(STEP.format(name=f"s{i}") for i in range(9)),
            "3: warning: the steps s0, s1, s2, s3, s4 and 4 more have",
        ),
        ("type: pipeline\njobs:\n  a:\n    component: c.yml\n", "3: warning: the step a has"),
        ("type: pipeline\njobs:\n  a:\n    component: good.yml\n", ""),
        (f"type: command\ncommand: echo 1\n{ENVIRONMENT}\n", ""),
        ("type: pipeline\njobs:\n  a: {component: azureml://registries/r/components/c/versions/1}\n", ""),
        ("type: command\ncommand: echo ${{inputs.x}}\n", ""),  # after an error, nothing
    ],
)
def test_steps_without_an_environment(tmp_path: Path, text: str, finding: str) -> None:
    """One warning names the steps of a file that azure-ai-ml rejects, if the file has no error."""
    (tmp_path / "c.yml").write_text(COMPONENT)
    (tmp_path / "good.yml").write_text(f"{COMPONENT}{ENVIRONMENT}\n")
    path = tmp_path / "p.yml"
    path.write_text(text)
    _, findings = check_file(path, {}, CheckOptions(directory=tmp_path))
    shown = [str(found) for found in findings if "environment" in found.message]
    assert shown == ([f"{path}:{finding} no environment{ENDS}"] if finding else [])
