"""The modules that a script imports whenever it runs, and the files of its own code that it imports.

Only imports at the top level count: those in functions, in `try` and under other conditions may never run. The
modules of the code folder are read in turn, so that their imports count too.
"""

from __future__ import annotations

import ast
import os.path
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MAX_FILES = 300
MAX_BYTES = 1_000_000
_SEARCH_PATH = re.compile(rb"sys\.path|site\.addsitedir|\bsys\.meta_path|\bsys\.modules\b")
_INSTALLATION = re.compile(
    rb"\bpip\b.{0,40}\binstall\b|pip\._internal|\bensurepip\b|conda\b.{0,40}\binstall", re.DOTALL
)


class ImportedModule(NamedTuple):
    """A module that a line of a file imports. The name has dots."""

    name: str
    file: Path
    line: int


@dataclass
class ImportedCode:
    """The imports of a script.

    `modules` are those that are not in its code. `files` are the script and the files of its code. The search path is
    known if no file changes it, and the packages if no file installs some.
    """

    modules: list[ImportedModule] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    is_search_path_known: bool = True
    are_packages_known: bool = True


def imported_code(script: Path, folders: Sequence[Path]) -> ImportedCode:
    """Return what a script imports. `folders` are those of the step's code in which Python looks for modules."""
    code = ImportedCode()
    waiting = [script]
    while waiting and len(code.files) < MAX_FILES:
        file = waiting.pop(0)
        if file in code.files:
            continue
        code.files.append(file)
        content = _content(file)
        tree = _tree(content)
        if tree is None:
            continue  # the interpreter of the step reports its syntax error
        code.is_search_path_known = code.is_search_path_known and not _SEARCH_PATH.search(content)
        code.are_packages_known = code.are_packages_known and not _INSTALLATION.search(content)
        for name, line in _imports(tree.body, is_script=file == script):
            files = _own_files(name, folders)
            waiting += files or []
            if files is None:
                code.modules.append(ImportedModule(name, file, line))
        for name in _relative_imports(tree):
            waiting += _own_files(name, [file.parent]) or []
    return code


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES)
    except OSError:  # deleted in the meantime
        return b""


def _tree(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # those about the script are shown when it runs
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _imports(body: Sequence[ast.stmt], *, is_script: bool) -> Iterator[tuple[str, int]]:
    """Yield the modules that the statements import whenever they run, with their lines."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno
        elif isinstance(node, ast.If) and is_script and _is_main(node.test):
            yield from _imports(node.body, is_script=True)


def _is_main(test: ast.expr) -> bool:
    """Return whether a condition is `__name__ == "__main__"`."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def _relative_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that the file imports from its own package."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def _own_files(name: str, folders: Sequence[Path]) -> list[Path] | None:
    """Return the files of the code that the import of a module runs, or None if the module is not in the code."""
    for folder in folders:
        place = folder
        files: list[Path] = []
        for part in name.split("."):
            place /= part
            for file in (place / "__init__.py", place.with_name(f"{part}.py")):
                if os.path.isfile(file):
                    files.append(file)
                    break
        head = folder / name.partition(".")[0]
        if files or os.path.isdir(head) or any(folder.glob(f"{_escaped(head.name)}.*.so")):
            return files
    return None


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def has_function(script: Path, name: str) -> bool:
    """Return whether a script defines a function, or may get it by an import or an assignment."""
    tree = _tree(_content(script))
    if tree is None:
        return True
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return True
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) in {name, "*"} for a in node.names):
            return True
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
    return False
