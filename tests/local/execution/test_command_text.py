"""The expressions of commands."""

from __future__ import annotations

import shlex
import subprocess

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


@given(st.text(st.characters(exclude_characters="\0\n$`", exclude_categories=["Cs"]), min_size=1))
def test_a_path_is_one_word_of_the_shell(name: str) -> None:
    """Paths with spaces and quotes stay whole outside of quotes and inside both of them. Literals are text."""
    values = CommandValues({"d": f"/{name}", "x": "1 2"}, {"o": f"/{name}"}, ["x"])
    template = (
        "a ${{inputs.d}}/f \"${{outputs.o}}/f\" '${{inputs.d.path}}' ${{inputs.x}} \\' # it's\n${{outputs.o}}"
    )
    command = replace_expressions(template, values, is_shell=True)
    path = f"/{name}"
    assert shlex.split(command, comments=True) == ["a", f"{path}/f", f"{path}/f", path, "1", "2", "'", path]


def test_a_real_shell_reads_a_path_as_one_word() -> None:
    """Variables and substitutions in the name of a path are text, also in double quotes."""
    path = "/a b/$HOME `x` \\ it's"
    template = "printf '%s\\n' ${{outputs.o}}/f \"${{outputs.o}}\" '${{outputs.o}}'"
    command = replace_expressions(template, CommandValues({}, {"o": path}), is_shell=True)
    output = subprocess.run(
        ["sh", "-c", command], stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout
    assert output.splitlines() == [f"{path}/f", path, path]
