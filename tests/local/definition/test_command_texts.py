"""Tests of the checks of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.definition.command_texts import check_command, normalized, required_names
from amllog.local.definition.finding_list import FindingList
from amllog.local.definition.yaml_nodes import YamlMap, YamlScalar, parse_yaml


def findings_of(text: str) -> list[str]:
    """Return the findings of the command in a document."""
    document = parse_yaml(text, Path("c.yml"))
    assert isinstance(document.root, YamlMap)
    scalar = document.root.items["command"]
    assert isinstance(scalar, YamlScalar)
    findings = FindingList()
    check_command(scalar, document.lines, {"inputs": ["x"], "outputs": ["y"]}, ["SET"], findings)
    return [f"{finding.position.line} {finding.message.split()[1]}" for finding in findings.sorted()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("command: >-\n  a\n  # b\n  c\n", ["3 comment"]),
        ("command: >-\n  a # b\n  c\n", ["2 comment"]),
        ("command: >-\n  a\n  c # b\n", []),
        ("command: >-\n  a '# b'\n  c#d\n", []),
        ("command: \"a # b\n  c\"\n", ["1 comment"]),
        ("command: |\n  # b\n  a\n", []),
        ("command: |\n  a \\\n  # b\n  c\n", ["3 comment"]),
        ("command: |\n  a \\\n  c # b\n", []),
        ("command: >-\n  a \\\n  b\n", ["2 backslash"]),
        ("command: a \\\n  b\n", ["1 backslash"]),
        ("command: |\n  a \\\n  b\n", []),
        ("command: >-\n  a \\\n    b \\\n    c\n", []),
        ("command: >-\n  a \\\n    b \\\n  c \\\n  d\n", ["4 backslash"]),
        ("command: >-\n  a \\\n\n  b\n", []),
        ("command: 'a \\\n  b'\n", ["1 backslash"]),
        ("command: >-\n  a\n    # b\n    c # d\n", []),
        ("command: >-\n  a \\\n    # b\n    c\n", ["3 comment"]),
        ("command: >-\n  a\n    b # c\n  d # e\n  f\n", ["4 comment"]),
        ("command: echo ${HOME} ${SET} $OTHER ${AZUREML_RUN_ID} ${x:-1}\n", []),
        ("command: A=1; for f in *; do echo ${f} ${A}; done; read B; echo ${B}\n", []),
        ("command: |\n  echo 1\n  echo ${UNKNOWN}\n", ["3 placeholder"]),
        ("command: echo ${{inputs.x}} ${{ outputs.y }} $[[--x ${{inputs.x.path}}]]\n", []),
    ],
)  # fmt: skip
def test_hidden_arguments_and_placeholders(text: str, expected: list[str]) -> None:
    """Comments and backslashes that change the folded command, and unset variables, are found at their line."""
    assert findings_of(text) == expected


def test_normalized_expressions() -> None:
    """Expressions have no spaces and no suffix, and parameters of a sweep are in the search space."""
    text = "a ${{ inputs.x.path }} ${{inputs.c}} ${{outputs.y}} ${{name}}"
    assert normalized(text, ["c"]) == "a ${{inputs.x}} ${{search_space.c}} ${{outputs.y}} ${{name}}"


def test_required_names_are_outside_of_optional_parts() -> None:
    """Inputs in `$[[ ]]` are not required."""
    assert required_names("a ${{inputs.x}} $[[--b ${{inputs.y}}]]") == {"x"}
