"""Tests of the values of inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.plan.planned_steps import InputValue, LiteralValue, LocalData, NamedData, SourceLine
from tests.local.definition.conftest import Reader

STEP = """\
type: pipeline
inputs:
  flag: true
  address: https://a.b/c.csv
  folder: {type: uri_folder, path: ./data}
  untyped: {path: ./data}
  value: {value: 1000}
  given: {type: number, default: 0.1}
  unused: {type: string, optional: true}
jobs:
  s: {component: ./c.yml, inputs: {x: VALUE}}
"""


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("string", "${{parent.inputs.flag}}", LiteralValue(True, "string")),
        ("boolean", "'False'", LiteralValue("False", "boolean")),
        ("boolean", "0", LiteralValue(False, "boolean")),
        ("boolean", "no", LiteralValue(False, "boolean")),
        ("integer", "'3'", LiteralValue("3", "integer")),
        ("integer", "{value: 4}", LiteralValue(4, "integer")),
        ("integer", "${{parent.inputs.value}}", LiteralValue(1000, "integer")),
        ("number", "1e-3", LiteralValue("1e-3", "number")),
        ("number", "${{parent.inputs.given}}", LiteralValue(0.1, "number")),
        ("number", "5", LiteralValue(5, "number")),
        ("string", "https://a.b", LiteralValue("https://a.b", "string")),
        ("string", "2024-01-01", LiteralValue("2024-01-01", "string")),
        ("string", "a-${{parent.inputs.value}}", LiteralValue("a-1000", "string")),
        ("uri_file", "${{parent.inputs.address}}",
         NamedData("https://a.b/c.csv", "uri_file", SourceLine(Path("pipeline.yml"), 11))),
        ("uri_file", "{path: wasbs://x/y, mode: direct}",
         NamedData("wasbs://x/y", "uri_file", SourceLine(Path("pipeline.yml"), 11))),
        ("mltable", "{path: ./t}", LocalData(Path("t"), "mltable")),
        ("mltable", "{path: '${{parent.inputs.untyped}}'}", LocalData(Path("data"), "mltable")),
        ("mltable", "{type: mltable, path: ./t}", LocalData(Path("t"), "mltable")),
        ("uri_folder", "./t", LocalData(Path("t"))),
        ("uri_folder", "{path: '${{parent.inputs.folder}}/train'}", LocalData(Path("data/train"))),
        ("uri_folder", "${{parent.inputs.folder.path}}", LocalData(Path("data"))),
        ("custom_model", "{type: custom_model, path: 'azureml:m@latest'}",
         NamedData("azureml:m@latest", "custom_model", SourceLine(Path("pipeline.yml"), 11))),
    ],
)  # fmt: skip
def test_values(read: Reader, tmp_path: Path, declared: str, value: str, expected: InputValue) -> None:
    """A value has the declared type. Literals keep what the file has, because commands get `str(value)`."""
    result = read(
        STEP.replace("VALUE", value if value[0] in "{'" or "$" not in value else f'"{value}"'),
        c="type: command\ncommand: echo ${{inputs.x}}\nenvironment: azureml:e\n"
        f"inputs: {{x: {{type: {declared}}}}}\n",
    )
    assert [str(finding) for finding in result.findings] == []
    assert result.pipeline is not None
    if isinstance(expected, LocalData):
        expected = LocalData(tmp_path / expected.path, expected.type)
    (step,) = result.pipeline.steps
    assert step.inputs == {"x": expected}
    assert str(step.input_positions["x"]) == "pipeline.yml:11"


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("integer", "3.5"), ("integer", "true"), ("integer", "x"), ("number", "''"), ("boolean", "2"),
        ("boolean", "maybe"), ("uri_file", "5"), ("number", "'${{parent.inputs.folder}}'"), ("integer", ".nan"),
        ("integer", "'${{parent.inputs.unused}}'"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_rejected(read: Reader, declared: str, value: str) -> None:
    """A value that is not of the declared type gives one finding at its line."""
    result = read(
        STEP.replace("VALUE", value),
        c=f"type: command\ncommand: echo\nenvironment: azureml:e\ninputs: {{x: {{type: {declared}}}}}\n",
    )
    assert [str(finding.position) for finding in result.findings] == ["pipeline.yml:11"]


def test_inline_steps_declare_their_inputs(read: Reader, tmp_path: Path) -> None:
    """The inputs of an inline command have the types of their values."""
    result = read("""\
type: pipeline
inputs: {d: {path: ./data}}
jobs:
  s:
    command: echo
    environment: azureml:e
    inputs: {a: 1, b: 0.5, c: true, d: x, e: ./x, f: {path: ./y}, g: {type: uri_file, path: "${{parent.inputs.d}}"}}
""")
    assert result.pipeline is not None
    assert result.pipeline.steps[0].inputs == {
        "a": LiteralValue(1, "integer"), "b": LiteralValue(0.5, "number"), "c": LiteralValue(True, "boolean"),
        "d": LiteralValue("x"), "e": LiteralValue("./x"), "f": LocalData(tmp_path / "y"),
        "g": LocalData(tmp_path / "data", "uri_file"),
    }  # fmt: skip
    assert result.pipeline.inputs == {"d": LocalData(tmp_path / "data")}


@pytest.mark.parametrize(
    ("value", "line"),
    [("{type: uri_folder, path: ./t}", 11), ("'${{parent.inputs.folder}}'", 11)],
)
def test_data_keeps_its_own_type(read: Reader, value: str, line: int) -> None:
    """Data of another type than the declared one keeps its type, as in the service, with a warning."""
    result = read(
        STEP.replace("VALUE", value),
        c="type: command\ncommand: echo\nenvironment: azureml:e\ninputs: {x: {type: mltable}}\n",
    )
    assert [str(finding) for finding in result.findings] == [
        f"pipeline.yml:{line}: warning: input x has the type uri_folder, and the component declares mltable"
    ]
    assert result.pipeline is not None
    assert getattr(result.pipeline.steps[0].inputs["x"], "type", "") == "uri_folder"
