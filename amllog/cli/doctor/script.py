"""A parsed script with the queries that the rules of `amllog doctor` use. It is never run."""

from __future__ import annotations

import ast
from pathlib import Path

from amllog.cli.doctor.checks import Check, warn


class Script:
    """A parsed script with the queries that the rules use."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.tree = ast.parse(text, str(path))
        self.calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    def calls_of(self, *names: str) -> list[ast.Call]:
        """Return the calls whose dotted name ends with one of `names`."""
        return [call for call in self.calls if ends_with(dotted_name(call.func), names)]

    def location(self, node: ast.AST) -> str:
        """Return the file name and line of a node, such as `train.py:12`."""
        return f"{self.path.name}:{getattr(node, 'lineno', 0)}"

    def warn(self, node: ast.AST, found: str, advice: str) -> Check:
        """Return a warning with the location of a node."""
        return warn(self.location(node), found, advice)

    def imported(self) -> dict[str, ast.AST]:
        """Return the top-level names of absolute imports, each with its node."""
        names: dict[str, ast.AST] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update((alias.name.partition(".")[0], node) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names[node.module.partition(".")[0]] = node
        return names

    def optional_imports(self) -> set[ast.AST]:
        """Return the imports that may fail: under `try` with an except for it, and under `if TYPE_CHECKING`."""
        blocks: list[ast.stmt] = []
        for node in ast.walk(self.tree):
            checked = isinstance(node, ast.If) and dotted_name(node.test).endswith("TYPE_CHECKING")
            tried = isinstance(node, ast.Try) and any(map(_takes_import_error, node.handlers))
            if isinstance(node, (ast.If, ast.Try)) and (checked or tried):
                blocks += node.body
        return {part for block in blocks for part in ast.walk(block)}


def dotted_name(node: ast.AST) -> str:
    """Return the dotted name of an expression, such as `a.b.c`. A call or an index before it is omitted."""
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def ends_with(name: str, endings: tuple[str, ...]) -> bool:
    """Return whether a dotted name ends with one of the endings."""
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)


def string(node: ast.AST) -> str:
    """Return the value of a string constant, or ""."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def strings(call: ast.Call) -> list[str]:
    """Return the positional arguments of a call that are string constants."""
    return [text for text in map(string, call.args) if text]


def mode(call: ast.Call) -> str:
    """Return the mode of a call of `open`."""
    keywords = [string(keyword.value) for keyword in call.keywords if keyword.arg == "mode"]
    return keywords[0] if keywords else (string(call.args[1]) if len(call.args) > 1 else "r")


def has_clock_call(node: ast.AST) -> bool:
    """Return whether an expression contains a call whose result changes with time."""
    clocks = ("now", "utcnow", "today", "time.time", "strftime", "uuid4")
    return any(
        isinstance(part, ast.Call) and ends_with(dotted_name(part.func), clocks) for part in ast.walk(node)
    )


def _takes_import_error(handler: ast.ExceptHandler) -> bool:
    text = "Exception" if handler.type is None else ast.unparse(handler.type)
    return any(name in text for name in ("ImportError", "ModuleNotFoundError", "Exception"))
