"""The expressions `${{…}}` of Azure ML's format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# An expression that is not closed does not contain the next one.
_EXPRESSION = re.compile(r"\$\{\{((?:(?!\$\{\{).)*?)\}\}", re.DOTALL)
_OPTIONAL = re.compile(r"\$\[\[.*?\]\]", re.DOTALL)
_NAMES = r"\s*(?:inputs|outputs|parent|search_space)\.[\w.]+\s*"
_SINGLE_BRACES = re.compile(rf"\$\{{{_NAMES}\}}")
_NO_DOLLAR = re.compile(rf"(?<![${{])\{{\{{{_NAMES}\}}\}}")
_PARENTHESES = re.compile(rf"\$\({{1,2}}{_NAMES}\){{1,2}}")
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_]\w*)\}|#\{([\w.-]+)\}#|(?<![${])\{\{\s*([\w.-]+)\s*\}\}")
# Names that a job resolves itself. They are allowed in output paths.
RUN_NAMES = {"name", "output_name", "default_datastore"}


class FormatExpression(NamedTuple):
    """One expression: its place in the string and its words. `${{parent.inputs.x}}` has the words parent, inputs, x."""

    text: str
    start: int
    end: int
    words: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind: parent.inputs, parent.outputs, parent.jobs, inputs, outputs, search_space, run or unknown."""
        head = ".".join(self.words[:2])
        if head in {"parent.inputs", "parent.outputs"} and len(self.words) > 2:
            return head
        if head == "parent.jobs" and len(self.words) > 4 and self.words[3] == "outputs":
            return head
        if self.words[0] in {"inputs", "outputs", "search_space"} and len(self.words) > 1:
            return self.words[0]
        return "run" if self.text in RUN_NAMES else "unknown"

    @property
    def name(self) -> str:
        """The name of the input or output. The suffix `.path` is not a part of it."""
        start = {"parent.jobs": 4, "parent.inputs": 2, "parent.outputs": 2}.get(self.kind, 1)
        words = self.words[start:]
        return ".".join(words[:-1] if len(words) > 1 and words[-1] == "path" else words)

    @property
    def step(self) -> str:
        """The step of an expression of the kind parent.jobs."""
        return self.words[2]


def expressions(text: str) -> list[FormatExpression]:
    """Return the expressions of a string."""
    return [
        FormatExpression(inner, match.start(), match.end(), tuple(inner.split(".")))
        for match in _EXPRESSION.finditer(text)
        for inner in [match.group(1).strip()]
    ]


def single_expression(text: str) -> FormatExpression | None:
    """Return the expression that is the whole string, or None."""
    parts = expressions(text)
    is_whole = len(parts) == 1 and not (text[: parts[0].start] + text[parts[0].end :]).strip()
    return parts[0] if is_whole else None


def replace_expressions(text: str, replacement: Callable[[FormatExpression], str | None]) -> str:
    """Replace the expressions for which there is a replacement."""
    for expression in reversed(expressions(text)):
        new = replacement(expression)
        if new is not None:
            text = text[: expression.start] + new + text[expression.end :]
    return text


def malformed(text: str) -> Iterator[str]:
    """Yield a message for each expression that is not closed, has single braces or parentheses, or has no dollar."""
    rest = _EXPRESSION.sub("", text)
    if "${{" in rest:
        yield "'${{' has no '}}'"
    if "$[[" in _OPTIONAL.sub("", rest):
        yield "'$[[' has no ']]'"
    for match in _SINGLE_BRACES.finditer(rest):
        yield f"{match.group()!r} has single braces: write '${{{{{match.group()[2:-1].strip()}}}}}'"
    for match in _NO_DOLLAR.finditer(rest):
        yield f"{match.group()!r} has no '$': write '${match.group()}'"
    for match in _PARENTHESES.finditer(rest):
        yield f"{match.group()!r} has parentheses: write '${{{{{match.group().strip('$() ')}}}}}'"


def placeholders(text: str) -> Iterator[tuple[str, str]]:
    """Yield the placeholders of templates in a string, with their names: `${NAME}`, `#{NAME}#` and `{{NAME}}`."""
    for match in _PLACEHOLDER.finditer(_NO_DOLLAR.sub("", _EXPRESSION.sub("", text))):
        yield match.group(), next(group for group in match.groups() if group)
