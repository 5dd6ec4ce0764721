"""The declared inputs of a component, pipeline or job, and the check of a value against its declaration."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amllog.local.definition.addresses import data_value
from amllog.local.definition.checked_map import CheckedMap
from amllog.local.definition.finding_list import FindingList, allowed_words
from amllog.local.definition.format_keys import DATA_TYPES, INPUT_KEYS, INPUT_MODES, LITERAL_TYPES
from amllog.local.definition.yaml_nodes import YamlMap, YamlNode, YamlScalar, plain
from amllog.local.plan.planned_steps import InputValue, LiteralValue, SourceLine, literal_type


@dataclass(frozen=True)
class InputDeclaration:
    """An input with its type and its limits. `default` is a node of the file."""

    name: str
    position: SourceLine
    type: str = ""  # "" is any type
    default: YamlNode | None = None
    is_optional: bool = False
    enum: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def read_declarations(owner: CheckedMap) -> dict[str, InputDeclaration]:
    """Return the declared inputs. A plain value declares its type and its default."""
    inputs = owner.map("inputs")
    if inputs is None:
        return {}
    return {name: _declaration(inputs, name) for name in inputs.node.items}


def _declaration(inputs: CheckedMap, name: str) -> InputDeclaration:
    node, position = inputs.node.items[name], inputs.line(name)
    if isinstance(node, YamlScalar):
        return InputDeclaration(name, position, "", node if node.value is not None else None)
    if not isinstance(node, YamlMap):
        inputs.findings.error(position, f"inputs.{name} is a list: allowed is a value or a mapping")
        return InputDeclaration(name, position)
    values = CheckedMap(node, inputs.findings)
    values.check_keys(INPUT_KEYS, "an input")
    node = values.node
    default = node.get("value") or node.get("default") or (node if node.get("path") else None)
    enum = node.get("enum")
    return InputDeclaration(
        name,
        position,
        input_type(values),
        default,
        values.boolean("optional", False),
        tuple(plain(enum)) if isinstance(plain(enum), list) else (),
        values.number("min", -math.inf),
        values.number("max", -math.inf),
    )


def input_type(values: CheckedMap) -> str:
    """Return the type of an input, or "" without one. An unknown type or mode is a finding."""
    values.word("mode", INPUT_MODES)
    kind = values.text("type")
    if kind and kind not in (*LITERAL_TYPES, *DATA_TYPES) and "${{" not in kind:
        end = allowed_words(kind, (*LITERAL_TYPES, *DATA_TYPES))
        values.findings.error(values.line("type"), f"unknown type {kind!r}{end}")
        return ""
    return kind.lower()


def fit_value(
    value: InputValue | None,
    declaration: InputDeclaration,
    position: SourceLine,
    folder: Path,
    findings: FindingList,
) -> InputValue | None:
    """Return a value as its declaration has it. A value that does not fit is a finding, and None.

    A string for an input of data is a path or an address. It is relative to `folder`.
    """
    kind = declaration.type
    if value is None or not kind:
        return value
    if isinstance(value, LiteralValue):
        if kind in DATA_TYPES:
            if isinstance(value.value, str) and value.value.strip():
                return data_value(value.value, kind, folder, position)
            return _unfit(value.value, declaration, position, findings)
        return _fit_literal(value, declaration, position, findings)
    if kind in {"integer", "number", "boolean"}:
        return _unfit("data", declaration, position, findings)
    if kind == "string":
        return value
    return replace(value, type=kind)


def _fit_literal(
    literal: LiteralValue, declaration: InputDeclaration, position: SourceLine, findings: FindingList
) -> LiteralValue | None:
    value, kind = literal.value, declaration.type
    if kind == "boolean" and value in (0, 1) and not isinstance(value, str):
        value = bool(value)  # azure-ai-ml dumps False as 0
    try:
        number = None if isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):
        number = None
    is_valid = {
        "string": True,
        "boolean": str(value).lower() in {"true", "false"},
        "number": number is not None,
        "integer": number is not None and number == number // 1,
    }
    if not is_valid[kind]:
        return _unfit(value, declaration, position, findings)
    if declaration.enum and str(value) not in {str(word) for word in declaration.enum}:
        words = ", ".join(str(word) for word in declaration.enum)
        findings.error(position, f"input {declaration.name} = {value!r}: allowed is one of {words}")
    if number is not None and declaration.minimum is not None and number < declaration.minimum:
        findings.error(
            position, f"input {declaration.name} = {value}: the minimum is {declaration.minimum:g}"
        )
    if number is not None and declaration.maximum is not None and number > declaration.maximum:
        findings.error(
            position, f"input {declaration.name} = {value}: the maximum is {declaration.maximum:g}"
        )
    return LiteralValue(value, kind)


def _unfit(
    value: object, declaration: InputDeclaration, position: SourceLine, findings: FindingList
) -> LiteralValue | None:
    message = f"input {declaration.name} = {value!r}: allowed is a value of the type {declaration.type}"
    findings.error(position, message)
    return None


def command_line_value(
    text: str, declaration: InputDeclaration, position: SourceLine, findings: FindingList
) -> InputValue | None:
    """Return the value of `--input name=text`. Without a declared type, it has the type of the file's value.

    Paths are relative to the working directory.
    """
    default = declaration.default
    kind = declaration.type
    if not kind and isinstance(default, YamlScalar):
        kind = literal_type(default.value)
        kind = "number" if kind == "integer" else kind
    literal = LiteralValue(text, kind if kind in LITERAL_TYPES else "string")
    return fit_value(literal, replace(declaration, type=kind), position, Path(), findings)
