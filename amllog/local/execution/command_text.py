"""Replace the expressions of a command: `${{inputs.x}}`, `${{outputs.x}}` and `$[[ … ]]`.

The service replaces text in text: it adds no quotes, so neither do we. But its paths have no spaces, and those of this
machine may have some. So a path stays one word of the shell, with quotes around the expression or without. The optional
part `$[[ … ]]` disappears with an input that has no value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from amllog.errors import UsageError

EXPRESSION = re.compile(r"\$\{\{\s*([\w.\-]+)\s*\}\}")
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


_SPECIAL = re.compile(r"""[\s"'\\$`&|;<>()*?\[\]{}!#^]""")  # for a shell, outside of quotes


class CommandValues(NamedTuple):
    """The texts of the expressions. `literals` are the inputs whose text is no path."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    literals: Collection[str] = ()


def _lookup(name: str, values: CommandValues) -> str | None:
    """Return the text of an expression such as `inputs.x`, or None if it has none."""
    kind, _, key = name.partition(".")
    texts = {"inputs": values.inputs, "outputs": values.outputs}.get(kind, {})
    # `${{inputs.model.path}}` is the path of the input, as `${{inputs.model}}` is.
    return texts.get(key, texts.get(key[: -len(".path")]) if key.endswith(".path") else None)


def replace_expressions(template: str, values: CommandValues, *, is_shell: bool = False) -> str:
    """Return the command of a template. Raises UsageError for an expression without a value outside `$[[ … ]]`.

    `is_shell`: a shell reads the command, and each path is a part of one word.
    """

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
        if is_shell and match[1].partition(".")[2] not in values.literals and _SPECIAL.search(text):
            return _escaped(text, _open_quote(match.string[: match.start()]))
        return text

    return EXPRESSION.sub(required, OPTIONAL.sub(optional, template))


def _open_quote(text: str) -> str:
    """Return the quote that is open at the end of a text of the shell, or ""."""
    quote = ""
    for match in re.finditer(r"""\\.|(?<!\S)#[^\n]*|["']""", text, re.DOTALL):
        found = match[0]
        if found in {"'", '"'} and quote in {"", found}:
            quote = "" if quote else found
        elif quote == "'" and found == "\\'":  # a backslash is no escape there
            quote = ""
    return quote


def _escaped(path: str, quote: str) -> str:
    """Return a path for a place of a shell command, inside the quote or outside of quotes."""
    if quote == "'":
        return path.replace("'", "'\\''")
    return (
        re.sub(r'["\\$`]', r"\\\g<0>", path)
        if quote
        else _SPECIAL.sub(lambda special: f"\\{special[0]}", path)
    )
