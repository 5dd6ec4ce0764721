"""Tests of the checks of local data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from amllog.local.checks.data_checks import data_fault
from amllog.local.plan.planned_steps import LocalData, SourceLine


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("x.csv", "uri_file", ""),
        ("folder", "uri_folder", ""),
        ("table", "mltable", ""),
        ("model", "mlflow_model", ""),
        ("folder", "custom_model", ""),
        ("x.csv", "custom_model", ""),
        ("no.csv", "uri_file", "{}/no.csv does not exist"),
        ("a/b/c/no.csv", "uri_file", "{}/a/b/c/no.csv does not exist (the path exists up to {})"),
        (
            "folder",
            "uri_file",
            "{}/folder is a folder, but its type is uri_file: use a file or the type uri_folder",
        ),
        (
            "x.csv",
            "uri_folder",
            "{}/x.csv is a file, but its type is uri_folder: use a folder or the type uri_file",
        ),
        (
            "x.csv",
            "mltable",
            "{}/x.csv is a file, but its type is mltable: use a folder with the file MLTable",
        ),
        ("folder", "mltable", "{}/folder has no file MLTable, so it is no mltable"),
        ("folder", "mlflow_model", "{}/folder has no file MLmodel, so it is no mlflow_model"),
        ("x.csv", "triton_model", "{}/x.csv is a file, but its type is triton_model: use a folder"),
        ("x.csv/y", "uri_file", "{}/x.csv/y does not exist"),
        ("n" * 300, "uri_file", "{}/" + "n" * 300 + ": File name too long"),
    ],
)
def test_faults(tmp_path: Path, name: str, kind: str, fault: str) -> None:
    """Data exists and has the form of its type, otherwise the fault names the path and what is expected."""
    for file in ("x.csv", "folder/x", "table/MLTable", "model/MLmodel"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert data_fault(LocalData(tmp_path / name, kind)) == fault.format(tmp_path, tmp_path)


def test_the_same_data_is_reported_once(project) -> None:
    """An input of the pipeline that several steps read is reported once, at its line."""
    line = SourceLine(project.file, 9)
    data = {"data": LocalData(project.folder / "no.csv", "uri_file")}
    for _ in range(2):
        project.add("echo", inputs=data, input_positions={"data": line})
    project.steps.append(replace(project.steps[0], name="other", input_positions={}))
    assert project.findings() == [
        "pipeline.yml:9: input data: no.csv does not exist",
        "pipeline.yml:1: input data: no.csv does not exist",
    ]
