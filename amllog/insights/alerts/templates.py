"""Write one Azure resource as an ARM template in JSON or in Bicep.

A template is plain data with `Expression` for values that the deployment computes. Equal templates give identical
output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\$"}


class Expression(NamedTuple):
    """A value that the deployment computes, in both languages."""

    arm: str
    bicep: str


class Parameter(NamedTuple):
    """A parameter of type string, int, bool or array. Without a default it is required.

    `allowed`: the valid values. An empty tuple allows all values.
    """

    type: str
    description: str
    default: object = None
    allowed: tuple[object, ...] = ()


class Template(NamedTuple):
    """One resource with its parameters and variables. `symbol` is its name in Bicep."""

    description: str
    parameters: Mapping[str, Parameter]
    variables: Mapping[str, object]
    symbol: str
    type: str
    version: str
    resource: Mapping[str, Any]


def parameter(name: str) -> Expression:
    """Return the expression for the value of a parameter."""
    return Expression(f"parameters('{name}')", name)


def variable(name: str) -> Expression:
    """Return the expression for the value of a variable."""
    return Expression(f"variables('{name}')", name)


def arm(template: Template) -> str:
    """Return the template as ARM JSON."""
    parameters = {
        name: {
            "type": definition.type,
            **({"defaultValue": _arm(definition.default)} if definition.default is not None else {}),
            **({"allowedValues": list(definition.allowed)} if definition.allowed else {}),
            "metadata": {"description": definition.description},
        }
        for name, definition in template.parameters.items()
    }
    resource = {"type": template.type, "apiVersion": template.version, **_arm(template.resource)}
    document = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"description": template.description},
        "parameters": parameters,
        **({"variables": _arm(template.variables)} if template.variables else {}),
        "resources": [resource],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def bicep(template: Template) -> str:
    """Return the template as Bicep."""
    lines = [f"// {template.description}", ""]
    for name, definition in template.parameters.items():
        lines.append(f"@description({_string(definition.description)})")
        if definition.allowed:
            lines.append(f"@allowed({_bicep(list(definition.allowed), 0)})")
        default = f" = {_bicep(definition.default, 0)}" if definition.default is not None else ""
        lines += [f"param {name} {definition.type}{default}", ""]
    for name, value in template.variables.items():
        lines += [f"var {name} = {_bicep(value, 0)}", ""]
    kind = f"'{template.type}@{template.version}'"
    return "\n".join([*lines, f"resource {template.symbol} {kind} = {_bicep(template.resource, 0)}", ""])


def _arm(value: Any) -> Any:
    if isinstance(value, Expression):
        return f"[{value.arm}]"
    if isinstance(value, str):
        # Without a second bracket, it would be an expression.
        return f"[{value}" if value.startswith("[") else value
    if isinstance(value, Mapping):
        return {key: _arm(item) for key, item in value.items()}
    return [_arm(item) for item in value] if isinstance(value, (list, tuple)) else value


def _bicep(value: Any, depth: int) -> str:
    if isinstance(value, Expression):
        return value.bicep
    if isinstance(value, str):
        return _multiline_string(value) if "\n" in value else _string(value)
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        members = [
            f"{pad}{key if _NAME.fullmatch(key) else _string(key)}: {_bicep(item, depth + 1)}"
            for key, item in value.items()
        ]
        return "\n".join(["{", *members, f"{end}}}"]) if members else "{}"
    if isinstance(value, (list, tuple)):
        items = [f"{pad}{_bicep(item, depth + 1)}" for item in value]
        return "\n".join(["[", *items, f"{end}]"]) if items else "[]"
    return json.dumps(value)


def _multiline_string(text: str) -> str:
    """Return a raw string of several lines, or an escaped one if Bicep's raw form cannot contain it."""
    if "'''" in text or text.endswith("'") or "\r" in text:
        return _string(text)
    return f"'''\n{text}'''"


def _string(text: str) -> str:
    return "'" + "".join(_ESCAPES.get(character, character) for character in text) + "'"
