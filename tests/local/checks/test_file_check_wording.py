"""One mistake gives one finding, at the line or the option that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.local.checks.file_check import CheckOptions, check_file, relative

ENVIRONMENT = "    environment: azureml:e@latest\n"
HEAD = "type: pipeline\njobs:\n  one:\n"
COMPONENT = "type: command\ninputs:\n  rows: {type: string}\ncommand: echo ${{inputs.rows}}\nenvironment: azureml:e@1\n"
TO_ADD = ": add the line `rows: PATH` below `data:` in a new file amllog.yml, or pass --data rows=PATH"
READS = (
    "type: pipeline\ninputs:\n  d: {type: uri_folder, path: DATA}\njobs:\n  one:\n    command: ls ${{inputs.d}}\n"
    f'    inputs: {{d: "${{{{parent.inputs.d}}}}"}}\n{ENVIRONMENT}'
)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            f"{HEAD}    component: c.yml\n    inputs: {{rosw: 1}}\n",
            "p.yml:5: the component has no input 'rosw'. Did you mean 'rows'?",
        ),
        (
            f"{HEAD}    component: c.yml\n    inputs: {{other: 1}}\n",
            "p.yml:5: the component has no input 'other': declared is rows",
        ),
        (f"{HEAD}    component: q.yml\n", "p.yml:4: the component file q.yml does not exist"),
        (
            f"{HEAD}    component: comp.yml\n",
            "p.yml:4: the component file comp.yml does not exist. Did you mean 'comp2.yml'?",
        ),
        (
            f"{HEAD}    command: >-\n      echo a\n      b 'c\n{ENVIRONMENT}",
            "p.yml:6: command: the quote ' does not end",
        ),
        (
            f"{HEAD}    command: echo $(outputs.x)\n{ENVIRONMENT}    outputs: {{x: }}\n",
            "p.yml:4: '$(outputs.x)' has parentheses: write '${{outputs.x}}'",
        ),
        (READS.replace("DATA", "."), "--input d=no: input d: no does not exist"),
        (
            READS.replace("DATA", "azureml:rows@latest"),
            f"p.yml:3: no local path for azureml:rows@latest{TO_ADD}",
        ),
    ],
)
def test_one_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, finding: str) -> None:
    """A mistake gives no second finding, and names its own place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yml").write_text(text)
    for name in ("c.yml", "comp2.yml"):
        (tmp_path / name).write_text(COMPONENT)
    inputs = {"d": "no"} if "--input" in finding else {}
    data = {"row": "."} if "no local path" in finding else {}
    _, findings = check_file(Path("p.yml"), inputs, CheckOptions(data=data, directory=tmp_path))
    assert [str(found) for found in relative(findings, tmp_path)] == [finding]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--skip", {"skip": ["no"]}),
        ("--stub", {"stubs": ["no"]}),
        ("--from", {"start_from": "no"}),
        ("--only", {"only": ["no"]}),
    ],
)
def test_options_that_name_no_step(tmp_path: Path, option: str, values: dict[str, list[str]]) -> None:
    """An option with a name that no step has is an error of the check, as of the run."""
    path = tmp_path / "p.yml"
    path.write_text(f"{HEAD}    command: echo 1\n{ENVIRONMENT}")
    with pytest.raises(UsageError, match=f"{option} no: the pipeline has no such step. Its steps are one"):
        check_file(path, {}, CheckOptions(directory=tmp_path, **values))
