"""Replace the expressions of a command: `${{inputs.x}}`, `${{outputs.x}}` and `$[[ … ]]`.

The service replaces text in text: it adds no quotes, so neither do we. The optional part `$[[ … ]]` disappears with an
input that has no value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from amllog.errors import UsageError

EXPRESSION = re.compile(r"\$\{\{\s*([\w.\-]+)\s*\}\}")
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


class CommandValues(NamedTuple):
    """The texts of the expressions."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def _lookup(name: str, values: CommandValues) -> str | None:
    """Return the text of an expression such as `inputs.x`, or None if it has none."""
    kind, _, key = name.partition(".")
    texts = {"inputs": values.inputs, "outputs": values.outputs}.get(kind, {})
    # `${{inputs.model.path}}` is the path of the input, as `${{inputs.model}}` is.
    return texts.get(key, texts.get(key[: -len(".path")]) if key.endswith(".path") else None)


def replace_expressions(template: str, values: CommandValues) -> str:
    """Return the command of a template. Raises UsageError for an expression without a value outside `$[[ … ]]`."""

    def optional(match: re.Match[str]) -> str:
        names = EXPRESSION.findall(match[1])
        return "" if any(_lookup(name, values) is None for name in names) else match[1]

    def required(match: re.Match[str]) -> str:
        text = _lookup(match[1], values)
        if text is None:
            known = [f"inputs.{name}" for name in values.inputs] + [
                f"outputs.{name}" for name in values.outputs
            ]
            raise UsageError(f"{match[0]} has no value. Those with a value: {', '.join(known) or 'none'}")
        return text

    return EXPRESSION.sub(required, OPTIONAL.sub(optional, template))
