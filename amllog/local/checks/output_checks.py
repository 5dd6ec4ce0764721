"""The checks of output folders of SDK v1, which the script must create itself (the guide's table of problems).

`PipelineData` is a path to a folder that does not exist. A script that writes a file into it without creating it fails
with FileNotFoundError. A script that uses the path as a file is correct.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from amllog.local.checks.finding_places import key_line
from amllog.local.checks.program_checks import ScriptUse
from amllog.local.checks.script_imports import imported_code
from amllog.local.plan.planned_steps import Finding, PlannedStep, Severity, SourceLine

# Calls that create folders, also inside of libraries.
_CREATES = re.compile(
    r"mkdir|makedirs|copytree|extractall|unpack_archive|save_model|save_pretrained|ensure_dir|create_dir"
)


def output_findings(uses: Iterable[ScriptUse]) -> Iterator[Finding]:
    """Yield the findings about outputs that the service does not create."""
    for use in uses:
        names = [name for name, output in use.step.outputs.items() if not output.is_created]
        if not names or use.script is None:
            continue
        texts = {file: _text(file) for file in imported_code(use.script, use.folders).files}
        if any(_CREATES.search(text) for text in (*texts.values(), use.step.command)):
            continue
        for name in names:
            yield from _finding(use.step, name, texts)


def _finding(step: PlannedStep, name: str, texts: dict[Path, str]) -> Iterator[Finding]:
    option = _option_of(step, name)
    attribute = option.lstrip("-").replace("-", "_")
    message = f"output {name}: no script creates its folder, and SDK v1 does not: call os.makedirs("
    if not attribute:
        text = f"{message}path, exist_ok=True) before it writes into the folder"
        yield Finding(key_line(step, "outputs"), text, Severity.WARNING)
        return
    for file, text in texts.items():
        line = _first_join(text, attribute)
        if line:
            call = f"{message}args.{attribute}, exist_ok=True) before this line"
            yield Finding(SourceLine(file, line), call)
            return


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # deleted in the meantime
        return ""


def _option_of(step: PlannedStep, name: str) -> str:
    """Return the option whose value is the output, such as `--out`, or ""."""
    words = list(step.arguments) if step.arguments is not None else step.command.split()
    expression = re.compile(r"\$\{\{\s*outputs\." + re.escape(name) + r"\s*\}\}")
    for before, word in zip(["", *words], words):
        if expression.fullmatch(word) and before.startswith("-"):
            return before
        option, equals, value = word.partition("=")
        if equals and option.startswith("-") and expression.fullmatch(value):
            return option
    return ""


def _first_join(text: str, attribute: str) -> int:
    """Return the first line that makes the path of a file inside the folder `args.attribute`, or 0."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return 0
    aliases: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_folder(node.value, attribute, set()):
            aliases |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and _is_join(node, attribute, aliases)
    ]
    return min(lines, default=0)


def _is_join(node: ast.expr, attribute: str, aliases: set[str]) -> bool:
    if isinstance(node, ast.Call):  # os.path.join(folder, …)
        name = _dotted(node.func)
        is_join = name.endswith("path.join") or name in {"join", "Path", "pathlib.Path"}
        return is_join and len(node.args) > 1 and _is_folder(node.args[0], attribute, aliases)
    if isinstance(node, ast.BinOp):  # Path(folder) / …, folder + "/…"
        is_path = isinstance(node.op, ast.Div) or (
            isinstance(node.op, ast.Add)
            and isinstance(node.right, ast.Constant)
            and str(node.right.value).startswith("/")
        )
        return is_path and _is_folder(node.left, attribute, aliases)
    if isinstance(node, ast.JoinedStr):  # f"{folder}/…"
        return any(
            isinstance(value, ast.FormattedValue)
            and _is_folder(value.value, attribute, aliases)
            and isinstance(following, ast.Constant)
            and str(following.value).startswith("/")
            for value, following in zip(node.values, node.values[1:])
        )
    return False


def _is_folder(node: ast.expr, attribute: str, aliases: set[str]) -> bool:
    """Return whether an expression is the folder: `args.out`, a variable with it, or `Path` of it."""
    if isinstance(node, ast.Attribute):
        return node.attr == attribute
    if isinstance(node, ast.Name):
        return node.id in aliases
    if isinstance(node, ast.Call) and len(node.args) == 1:
        is_conversion = _dotted(node.func) in {"Path", "pathlib.Path", "str"}
        return is_conversion and _is_folder(node.args[0], attribute, aliases)
    return False


def _dotted(node: ast.expr) -> str:
    """Return the name of a function, such as `os.path.join`, or "" for other expressions."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *names]) if isinstance(node, ast.Name) else ""
