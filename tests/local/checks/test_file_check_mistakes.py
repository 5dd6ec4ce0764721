"""Tests of the check with files that have one mistake each: one finding, at its line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amllog.local.checks.file_check import CheckOptions, check_file

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
display_name: credit
inputs:
  credit:
    type: uri_file
    path: azureml:credit-data@latest
  folds: 3
outputs:
  model:
    type: uri_folder
settings:
  default_compute: azureml:cpu-cluster
  continue_on_step_failure: false
jobs:
  prep:
    command: >-
      python prep.py --data ${{inputs.data}}
      --out ${{outputs.table}}
    code: prep
    environment: azureml:train-env@latest
    inputs:
      data: ${{parent.inputs.credit}}
    outputs:
      table:
        type: uri_folder
  train:
    type: command
    component: train.yml
    inputs:
      table: ${{parent.jobs.prep.outputs.table}}
      folds: ${{parent.inputs.folds}}
      labels:
        type: uri_folder
        path: data/labels
    outputs:
      model: ${{parent.outputs.model}}
  score:
    command: set -o pipefail; python -m score.main --model ${{inputs.model}} | tail -n 1
    code: .
    environment:
      image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04
    inputs:
      model: ${{parent.jobs.train.outputs.model}}
"""
COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: train
version: 1
inputs:
  table:
    type: uri_folder
  labels:
    type: uri_folder
  folds:
    type: integer
    min: 2
    max: 9
  rate:
    type: number
    optional: true
outputs:
  model:
    type: uri_folder
command: >-
  python train.py --table ${{inputs.table}} --labels ${{inputs.labels}} --folds ${{inputs.folds}}
  $[[--rate ${{inputs.rate}}]] --model ${{outputs.model}}
code: train
environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
"""
FILES = {
    "pipeline.yml": PIPELINE,
    "train.yml": COMPONENT,
    "amllog.yml": "data:\n  credit-data: data/credit.csv\n",
    "prep/prep.py": "import json\nprint(json.dumps(1))\n",
    "train/train.py": "import helper\n",
    "train/helper.py": "import os\n",
    "score/main.py": "import sys\n",
    "data/credit.csv": "a,b\n",
    "data/labels/x.txt": "1\n",
}


def check(folder: Path, files: dict[str, str]) -> list[str]:
    """Write the files and return the findings of the pipeline, with relative paths."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _, findings = check_file(folder / "pipeline.yml", {}, CheckOptions(directory=folder))
    return [str(finding).replace(f"{folder}{os.sep}", "") for finding in findings]


def changed(name: str, old: str, new: str) -> Callable[[], dict[str, str]]:
    """Return the files with one change."""
    assert FILES[name].count(old) == 1, f"{old!r} is in {name} {FILES[name].count(old)} times"
    return lambda: {**FILES, name: FILES[name].replace(old, new)}


def without(*names: str) -> Callable[[], dict[str, str]]:
    """Return the files without some of them."""
    return lambda: {name: text for name, text in FILES.items() if name not in names}


MISTAKES = {
    "unknown step": (
        changed("pipeline.yml", "${{parent.jobs.prep.outputs.table}}", "${{parent.jobs.prepp.outputs.table}}"),
        "pipeline.yml:31: ", "prepp",
    ),
    "unknown output of a step": (
        changed("pipeline.yml", "${{parent.jobs.prep.outputs.table}}", "${{parent.jobs.prep.outputs.tabel}}"),
        "pipeline.yml:31: ", "tabel",
    ),
    "unknown pipeline input": (
        changed("pipeline.yml", "${{parent.inputs.folds}}", "${{parent.inputs.fold}}"),
        "pipeline.yml:32: ", "fold",
    ),
    "input in a command that is not declared": (
        changed("pipeline.yml", "--data ${{inputs.data}}", "--data ${{inputs.dat}}"),
        "pipeline.yml:", "dat",
    ),
    "required input not given": (
        changed("pipeline.yml", "      folds: ${{parent.inputs.folds}}\n", ""),
        "pipeline.yml:", "folds",
    ),
    "input that the component does not declare": (
        changed("pipeline.yml", "      folds: ${{parent.inputs.folds}}\n", "      folds: 3\n      fold: 3\n"),
        "pipeline.yml:33: ", "fold",
    ),
    "cycle": (
        changed("pipeline.yml", "data: ${{parent.inputs.credit}}", "data: ${{parent.jobs.train.outputs.model}}"),
        "pipeline.yml:", "prep",
    ),
    "duplicate key": (
        changed("pipeline.yml", "    code: prep\n", "    code: prep\n    code: prep\n"),
        "pipeline.yml:21: ", "code",
    ),
    "comment folded into a command": (
        changed("pipeline.yml", "--data ${{inputs.data}}\n", "--data ${{inputs.data}} # all\n"),
        "pipeline.yml:18: ", "comment",
    ),
    "placeholder of a template": (
        changed("pipeline.yml", "azureml:train-env@latest", "azureml:${ENVIRONMENT}@latest"),
        "pipeline.yml:21: ", "${ENVIRONMENT}",
    ),
    "unknown key": (
        changed("pipeline.yml", "    code: prep\n", "    cod: prep\n"),
        "pipeline.yml:20: ", "cod",
    ),
    "unknown type of a step": (
        changed("pipeline.yml", "    type: command\n", "    type: comand\n"),
        "pipeline.yml:28: ", "comand",
    ),
    "component file missing": (
        changed("pipeline.yml", "component: train.yml", "component: trian.yml"),
        "pipeline.yml:29: ", "trian.yml",
    ),
    "number above the maximum": (
        changed("pipeline.yml", "  folds: 3\n", "  folds: 12\n"),
        "pipeline.yml:", "12",
    ),
    "invalid YAML": (
        changed("pipeline.yml", "  folds: 3\n", "\tfolds: 3\n"),
        "pipeline.yml:8: ", "invalid YAML",
    ),
    "data that no entry maps": (
        without("amllog.yml"),
        "pipeline.yml:", "add the line `credit-data: PATH` below `data:` in a new file amllog.yml, or pass --data ",
    ),
    "mapped path missing": (
        changed("amllog.yml", "data/credit.csv", "data/credits.csv"),
        "amllog.yml:2: ", "data/credits.csv does not exist",
    ),
    "mapped interpreter missing": (
        changed("amllog.yml", "data:\n", "environments:\n  train-env: .venv/bin/python\ndata:\n"),
        "amllog.yml:2: ", ".venv/bin/python does not exist",
    ),
    "unknown key of the map": (
        changed("amllog.yml", "data:\n", "enviroments: {}\ndata:\n"),
        "amllog.yml:1: ", "Did you mean 'environments'?",
    ),
    "local data missing": (
        changed("pipeline.yml", "path: data/labels", "path: data/label"),
        "pipeline.yml:", "data/label does not exist",
    ),
    "file in the place of a folder": (
        changed("pipeline.yml", "path: data/labels", "path: data/credit.csv"),
        "pipeline.yml:", "data/credit.csv is a file, but its type is uri_folder",
    ),
    "code folder missing": (
        changed("pipeline.yml", "code: prep\n", "code: preparation\n"),
        "pipeline.yml:20: ", "preparation does not exist",
    ),
    "script missing": (
        changed("train.yml", "python train.py", "python trian.py"),
        "train.yml:21: ", "script trian.py does not exist in train. Did you mean train.py?",
    ),
    "module missing": (
        changed("pipeline.yml", "python -m score.main", "python -m score.mein"),
        "pipeline.yml:39: ", "module score.mein does not exist",
    ),
    "program missing": (
        changed("pipeline.yml", "python -m score.main", "Rscript-nowhere score.R"),
        "pipeline.yml:39: ", "Rscript-nowhere is not on PATH",
    ),
    "package missing": (
        changed("train/helper.py", "import os\n", "import os\nimport no_such_package\n"),
        "train/helper.py:2: ", "no_such_package is not installed in ",
    ),
    "syntax error": (
        changed("prep/prep.py", "print(json.dumps(1))", "print json.dumps(1)"),
        "prep/prep.py:2: ", "syntax error",
    ),
    "component with a name that is too long": (
        changed("pipeline.yml", "component: train.yml", f"component: {'x' * 300}.yml"),
        "pipeline.yml:29: ", "xxx.yml does not exist",
    ),
    "code folder with a name that is too long": (
        changed("pipeline.yml", "code: prep\n", f"code: {'x' * 300}\n"),
        "pipeline.yml:20: ", "xxx does not exist",
    ),
    "program with a name that is too long": (
        changed("pipeline.yml", "python -m score.main", "x" * 300),
        "pipeline.yml:39: ", "xxx is not on PATH",
    ),
    "include with a name that is too long": (
        changed("pipeline.yml", "    code: prep\n", f"    code: prep\n    additional_includes: [{'x' * 300}]\n"),
        "pipeline.yml:21: ", "xxx does not exist",
    ),
    "quote without an end": (
        changed("pipeline.yml", "| tail -n 1", "| tail -n '1"),
        "pipeline.yml:39: ", "the quote ' does not end",
    ),
}  # fmt: skip


def test_a_correct_file_has_no_finding(tmp_path: Path) -> None:
    """The file without a mistake gives nothing, and the plan is complete."""
    assert check(tmp_path, FILES) == []
    plan, _ = check_file(tmp_path / "pipeline.yml", {}, CheckOptions(directory=tmp_path))
    assert plan is not None
    assert [(step.name, step.interpreter) for step in plan.steps] == [
        ("prep", Path(sys.executable)), ("train", Path(sys.executable)), ("score", Path(sys.executable)),
    ]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_finding(tmp_path: Path, mistake: str) -> None:
    """A file with one mistake gives one finding, which names the line and the value."""
    files, place, text = MISTAKES[mistake]
    findings = check(tmp_path, files())
    assert len(findings) == 1, "\n".join(findings)
    assert findings[0].startswith(place)
    assert text in findings[0]
