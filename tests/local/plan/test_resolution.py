"""Tests of the resolution of plans."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from amllog.local.plan.asset_maps import AssetMaps, option_maps
from amllog.local.plan.map_file import read_map_file
from amllog.local.plan.planned_steps import (
    EnvironmentReference,
    LocalData,
    NamedData,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
)
from amllog.local.plan.resolution import resolve

FILE = Path("/project/pipeline.yml")


def plan_of(*references: str) -> PlannedPipeline:
    """Return a plan with one step for each data reference, at lines 10, 11, …"""
    steps = []
    for number, reference in enumerate(references):
        line = SourceLine(FILE, 10 + number)
        data = NamedData(reference, "uri_folder", line)
        environment = EnvironmentReference("azureml:train-env@latest", position=line)
        steps.append(PlannedStep(f"step{number}", line, inputs={"data": data}, environment=environment))
    return PlannedPipeline("p", SourceLine(FILE, 1), tuple(steps), source=FILE)


def test_named_data_becomes_local(tmp_path: Path) -> None:
    """Named data becomes the path of the map, in steps and in the inputs of the pipeline."""
    (tmp_path / "x").write_text("")
    plan = plan_of("azureml:credit@latest", "https://host/data/x")
    plan = replace(plan, inputs=plan.steps[0].inputs)
    maps = option_maps({"credit": tmp_path, "https://host/data": tmp_path}, {}, tmp_path)
    resolved, findings = resolve(plan, maps)
    assert findings == []
    assert [step.inputs["data"] for step in resolved.steps] == [
        LocalData(tmp_path),
        LocalData(tmp_path / "x"),
    ]
    assert resolved.inputs["data"] == LocalData(tmp_path)
    assert {step.interpreter for step in resolved.steps} == {Path(sys.executable)}


def test_a_registered_table_is_a_folder(tmp_path: Path) -> None:
    """The type of a registered asset is its own: a table may be given to an input of the type uri_file."""
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "MLTable").write_text("")
    (tmp_path / "folder").mkdir()
    plan = plan_of("azureml:table@latest", "azureml:folder@latest", "https://host/table")
    steps = [
        replace(step, inputs={"data": replace(step.inputs["data"], type="uri_file")}) for step in plan.steps
    ]
    data = {"table": "table", "folder": "folder", "https://host/table": "table"}
    resolved, _ = resolve(replace(plan, steps=tuple(steps)), option_maps(data, {}, tmp_path))
    assert [step.inputs["data"].type for step in resolved.steps] == ["mltable", "uri_file", "uri_file"]


def test_all_missing_entries_at_once() -> None:
    """Each missing entry is reported once, at its first line, with the line and the option that add it."""
    plan = plan_of("azureml:a@latest", "azureml:a:2", "https://host/x y.csv?sig=secret", "azureml:b:1")
    maps = AssetMaps(file=Path("/project/amllog.yml"))
    resolved, findings = resolve(plan, maps, ignored=["step3"])
    assert [str(finding) for finding in findings] == [
        (
            f"{FILE}:10: no local path for azureml:a@latest: add the line `a: PATH` below `data:` "
            "in a new file /project/amllog.yml, or pass --data a=PATH"
        ),
        (
            f'{FILE}:12: no local path for https://host/x y.csv: add the line `"https://host/x y.csv": PATH` below '
            "`data:` in a new file /project/amllog.yml, or pass --data 'https://host/x y.csv=PATH'"
        ),
    ]
    assert resolved.steps == tuple(
        replace(step, interpreter=Path(sys.executable) if step.name != "step3" else None)
        for step in plan.steps
    )


def test_paths_that_do_not_exist(tmp_path: Path) -> None:
    """A path of the map that does not exist is an error of the map's line, or of the option."""
    (tmp_path / "amllog.yml").write_text("data:\n  a: none\n  azureml://datastores/d/paths: .\n")
    plan = plan_of("azureml:a:1", "azureml:a:2", "azureml:b:1", "azureml://datastores/d/paths/y")
    file, _ = read_map_file(tmp_path / "amllog.yml")
    options = option_maps({"b": "nothing"}, {}, tmp_path)
    findings = resolve(plan, replace(file, data=(*options.data, *file.data)))[1]
    assert [str(finding) for finding in findings] == [
        f"{tmp_path / 'amllog.yml'}:2: data a: {tmp_path / 'none'} does not exist",
        f"{FILE}:12: --data b={tmp_path / 'nothing'}: {tmp_path / 'nothing'} does not exist",
        (
            f"{tmp_path / 'amllog.yml'}:3: data azureml://datastores/d/paths: {tmp_path / 'y'} does not exist "
            "(needed for azureml://datastores/d/paths/y)"
        ),
    ]


def test_options_that_fit_nothing(tmp_path: Path) -> None:
    """An option that fits no step is a warning, because its name is probably misspelled."""
    maps = option_maps({"a": tmp_path, "aa": tmp_path}, {"train": "current", "*": "current"}, tmp_path)
    findings = resolve(plan_of("azureml:a:1"), maps)[1]
    assert [str(finding) for finding in findings] == [
        f"{FILE}:1: warning: --data aa: no step reads this data (data that steps read: azureml:a:1)",
        f"{FILE}:1: warning: --env train: no step has this environment (environments: azureml:train-env@latest)",
    ]


@pytest.mark.parametrize("key", ["train-env", "*"])
def test_interpreters_of_the_map(tmp_path: Path, key: str) -> None:
    """An environment has the interpreter of its entry."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    resolved, findings = resolve(plan_of("x://y"), option_maps({"x://y": "."}, {key: "venv/"}, tmp_path))
    assert ([step.interpreter for step in resolved.steps], findings) == ([python], [])


def test_an_interpreter_that_does_not_exist(tmp_path: Path) -> None:
    """A missing interpreter is one error, at the line of the map or of the environment."""
    data = option_maps({"x://y": "."}, {}, tmp_path).data
    (tmp_path / "amllog.yml").write_text("environments:\n  train-env: .venv\n")
    file, _ = read_map_file(tmp_path / "amllog.yml")
    resolved, findings = resolve(plan_of("x://y", "x://y"), replace(file, data=data))
    message = f"environment train-env: {tmp_path / '.venv'} does not exist"
    assert [str(finding) for finding in findings] == [f"{file.file}:2: {message}"]
    assert [step.interpreter for step in resolved.steps] == [None, None]
    options = option_maps({"x://y": "."}, {"train-env": "./.venv"}, tmp_path)
    findings = resolve(plan_of("x://y"), options)[1]
    assert [str(finding) for finding in findings] == [f"{FILE}:10: --env train-env=./.venv: {message}"]
