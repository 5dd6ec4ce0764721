"""What Azure is asked to make: a template's parameters and resources as data, written as ARM JSON or as Bicep.

In: plain values, with `Expression` where a template works something out. Out: text, the same for the same template.
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
    """What the deployment works out, in both languages."""

    arm: str
    bicep: str


class Parameter(NamedTuple):
    """A parameter: string, int, bool or array; `default` None: it must be given; `allowed`: nothing else may be."""

    type: str
    about: str
    default: object = None
    allowed: tuple[object, ...] = ()


class Template(NamedTuple):
    """One resource, what it is made from, and what may be set when it is deployed."""

    about: str
    parameters: Mapping[str, Parameter]
    variables: Mapping[str, object]
    symbol: str
    type: str
    version: str
    resource: Mapping[str, Any]


def parameter(name: str) -> Expression:
    """The value of a parameter."""
    return Expression(f"parameters('{name}')", name)


def variable(name: str) -> Expression:
    """The value of a variable."""
    return Expression(f"variables('{name}')", name)


def arm(template: Template) -> str:
    """The template as ARM JSON."""
    parameters = {
        name: {
            "type": one.type,
            **({"defaultValue": _arm(one.default)} if one.default is not None else {}),
            **({"allowedValues": list(one.allowed)} if one.allowed else {}),
            "metadata": {"description": one.about},
        }
        for name, one in template.parameters.items()
    }
    resource = {"type": template.type, "apiVersion": template.version, **_arm(template.resource)}
    whole = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"description": template.about},
        "parameters": parameters,
        **({"variables": _arm(template.variables)} if template.variables else {}),
        "resources": [resource],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def bicep(template: Template) -> str:
    """The template as Bicep."""
    lines = [f"// {template.about}", ""]
    for name, one in template.parameters.items():
        lines.append(f"@description({_text(one.about)})")
        if one.allowed:
            lines.append(f"@allowed({_bicep(list(one.allowed), 0)})")
        default = f" = {_bicep(one.default, 0)}" if one.default is not None else ""
        lines += [f"param {name} {one.type}{default}", ""]
    for name, value in template.variables.items():
        lines += [f"var {name} = {_bicep(value, 0)}", ""]
    kind = f"'{template.type}@{template.version}'"
    return "\n".join([*lines, f"resource {template.symbol} {kind} = {_bicep(template.resource, 0)}", ""])


def _arm(value: Any) -> Any:
    if isinstance(value, Expression):
        return f"[{value.arm}]"
    if isinstance(value, str):
        return f"[{value}" if value.startswith("[") else value  # else it would be an expression
    if isinstance(value, Mapping):
        return {key: _arm(item) for key, item in value.items()}
    return [_arm(item) for item in value] if isinstance(value, (list, tuple)) else value


def _bicep(value: Any, depth: int) -> str:
    if isinstance(value, Expression):
        return value.bicep
    if isinstance(value, str):
        return _block(value) if "\n" in value else _text(value)
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        inner = [
            f"{pad}{key if _NAME.fullmatch(key) else _text(key)}: {_bicep(item, depth + 1)}"
            for key, item in value.items()
        ]
        return "\n".join(["{", *inner, f"{end}}}"]) if inner else "{}"
    if isinstance(value, (list, tuple)):
        items = [f"{pad}{_bicep(item, depth + 1)}" for item in value]
        return "\n".join(["[", *items, f"{end}]"]) if items else "[]"
    return json.dumps(value)


def _block(text: str) -> str:
    """Several lines, as they are where Bicep's raw form can hold them."""
    if "'''" in text or text.endswith("'") or "\r" in text:
        return _text(text)
    return f"'''\n{text}'''"


def _text(text: str) -> str:
    return "'" + "".join(_ESCAPES.get(one, one) for one in text) + "'"
