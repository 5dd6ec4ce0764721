"""Tests of expressions."""

from __future__ import annotations

import pytest

from amllog.local.definition.format_expressions import (
    FormatExpression,
    expressions,
    malformed,
    placeholders,
    replace_expressions,
    single_expression,
)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("${{parent.inputs.a}}", "parent.inputs", "a"),
        ("${{ parent.inputs.a.path }}", "parent.inputs", "a"),
        ("${{parent.inputs.group.a}}", "parent.inputs", "group.a"),
        ("${{parent.jobs.s.outputs.a}}", "parent.jobs", "a"),
        ("${{parent.jobs.s.outputs.a.path}}", "parent.jobs", "a"),
        ("${{parent.outputs.a}}", "parent.outputs", "a"),
        ("${{inputs.path}}", "inputs", "path"),
        ("${{inputs.a.path}}", "inputs", "a"),
        ("${{search_space.a}}", "search_space", "a"),
        ("${{default_datastore}}", "run", ""),
        ("${{parent.jobs.s.inputs.a}}", "unknown", "jobs.s.inputs.a"),
        ("${{inputs}}", "unknown", ""),
        ("${{}}", "unknown", ""),
    ],
)
def test_kinds(text: str, kind: str, name: str) -> None:
    """An expression has a kind and a name. The suffix `.path` is not a part of the name."""
    expression = single_expression(f" {text} ")
    assert expression is not None
    assert (expression.kind, expression.name) == (kind, name)


def test_single_expression_is_the_whole_string() -> None:
    """A string with other parts is no single expression."""
    assert single_expression("${{inputs.a}}/b") is None
    assert single_expression("${{inputs.a}}${{inputs.b}}") is None
    assert [part.name for part in expressions("${{inputs.a}} and ${{outputs.b}}")] == ["a", "b"]


def test_replacement_keeps_the_rest() -> None:
    """Expressions without a replacement stay."""
    text = replace_expressions("x ${{inputs.a}} ${{inputs.b}} y", _text)
    assert text == "x 1 ${{inputs.b}} y"


def _text(expression: FormatExpression) -> str | None:
    return "1" if expression.name == "a" else None


def test_malformed_expressions_and_placeholders() -> None:
    """Unclosed expressions, single braces and placeholders of templates are recognized, and shell words are not."""
    assert list(malformed("a ${{inputs.x} b")) == ["'${{' has no '}}'"]
    assert list(malformed("a ${{inputs.x} b ${{inputs.y}}")) == ["'${{' has no '}}'"]
    assert [part.text for part in expressions("a ${{inputs.x} b ${{inputs.y}}")] == ["inputs.y"]
    assert list(malformed("${ inputs.x }")) == ["'${ inputs.x }' has single braces: write '${{inputs.x}}'"]
    assert list(malformed("${HOME} $(ls) ${{inputs.x}}")) == []
    assert list(placeholders("${A} #{B}# {{c.d}} ${{inputs.x}} ${X:-1} $Y ${data.text}")) == [
        ("${A}", "A"), ("#{B}#", "B"), ("{{c.d}}", "c.d"),
    ]  # fmt: skip
