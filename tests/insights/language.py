"""Microsoft's language service for KQL, @kusto/language-service-next, run by Node.

`python tests/insights/language.py` installs it with npm, if npm is installed. `Service` returns the errors and the
columns of queries.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGE = "@kusto/language-service-next@12.4.1"
FOLDER = Path(__file__).parents[2] / ".nox" / "kusto"
CHECK = Path(__file__).parent / "kusto" / "check.js"
_INSTALLED = FOLDER / "node_modules" / "@kusto" / "language-service-next" / "package.json"


class Result(NamedTuple):
    """The result of one query: code, message and source of each error, name and type of each column."""

    errors: list[list[str]]
    columns: list[list[str]]


def missing() -> str:
    """Return why the language service cannot run. "" if it can."""
    if not shutil.which("node"):
        return "node is not installed"
    if not _INSTALLED.exists() or json.loads(_INSTALLED.read_text())["version"] != PACKAGE.rpartition("@")[2]:
        return f"{PACKAGE} is not installed: python tests/insights/language.py (needs npm)"
    return ""


def schemas() -> dict[str, dict[str, str]]:
    """Return the published tables by dialect, as declarations of KQL. Nothing of it is from amllog's code."""
    from .published_schemas import CLASSIC, WORKSPACE

    both = {"classic": CLASSIC, "workspace": WORKSPACE}
    return {
        name: {table: _declared(columns) for table, columns in tables.items()}
        for name, tables in both.items()
    }


def _declared(columns: Mapping[str, str]) -> str:
    return f"({', '.join(f'{name}:{kind}' for name, kind in columns.items())})"


class Service:
    """The language service in another process, until the end of the `with` block.

    `tables`: those that exist. Without it, all published tables.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._tables = tables

    def __enter__(self) -> Service:  # noqa: PYI034  Self comes with 3.11
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            ["node", str(CHECK), str(FOLDER)], stdin=pipe, stdout=pipe, encoding="utf-8"
        )
        self._write(schemas() if self._tables is None else self._tables)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(self, queries: Sequence[tuple[str, str]]) -> list[Result]:
        """Return the result of each query."""
        assert self._process.stdout is not None
        self._write(list(queries))
        return [Result(**item) for item in json.loads(self._process.stdout.readline())]

    def _write(self, value: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


def install() -> int:
    """Install the language service. Without npm, and without network outside of CI, print a message and continue."""
    if not missing():
        return 0
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        print("KQL is not checked with Microsoft's language service: npm and node are not installed")
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    quiet = (
        "--no-save",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    )
    command = [npm, "install", "--prefix", str(FOLDER), *quiet, PACKAGE]
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        print(
            f"KQL is not checked with Microsoft's language service: npm install {PACKAGE} ended with {code}"
        )
    return code if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(install())
