"""The expressions of commands."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from amllog.errors import UsageError
from amllog.local.execution.command_text import CommandValues, replace_expressions

VALUES = CommandValues({"x": "1 2", "data": "/d", "group.y": "3"}, {"out": "/o"})


@pytest.mark.parametrize(
    ("template", "command"),
    [
        ("a ${{inputs.x}} b", "a 1 2 b"),
        ("${{ inputs.x }}${{outputs.out}}/f", "1 2/o/f"),
        ("${{inputs.data.path}} ${{inputs.group.y}}", "/d 3"),
        ("run $[[--x ${{inputs.x}}]] $[[--z ${{inputs.z}}]] end", "run --x 1 2  end"),
        ("$[[--x ${{inputs.x}}\n --z ${{inputs.z}}]]!", "!"),
        (
            "echo $HOME ${name} $[[ always ]] {inputs.x} $((1+1))",
            "echo $HOME ${name}  always  {inputs.x} $((1+1))",
        ),
    ],
)
def test_expressions_are_replaced(template: str, command: str) -> None:
    """Inputs, outputs and optional parts are replaced, and everything else is text of the shell."""
    assert replace_expressions(template, VALUES) == command


@pytest.mark.parametrize(
    "template", ["${{inputs.z}}", "${{search_space.x}}", "${{outputs.x}}", "${{inputs}}"]
)
def test_an_expression_without_a_value_is_an_error(template: str) -> None:
    """The error names the expression and those with a value."""
    with pytest.raises(UsageError, match=r"has no value. Those with a value: inputs.x, inputs.data"):
        replace_expressions(template, VALUES)


@given(st.text())
def test_values_are_no_templates(value: str) -> None:
    """A value is inserted as it is, also if it looks like an expression or a replacement."""
    assert replace_expressions("<${{inputs.v}}>", CommandValues({"v": value}, {})) == f"<{value}>"
