"""Conda files of environments: their Python, their conda packages and their pip part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amllog.local.definition.yaml_nodes import plain, read_yaml
from amllog.local.plan.planned_steps import Finding, SourceLine

_VERSION = re.compile(r"python\s*=+\s*(\d+\.\d+)(?![\d])")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[\w.+!-]+))?")


@dataclass(frozen=True)
class CondaRequirements:
    """The content of a conda file.

    `python` is its version as `3.10`, or "". `conda` are the packages that only conda installs. `pip` are the lines of
    the pip part. Their paths are relative to `folder`.
    """

    position: SourceLine
    folder: Path
    python: str = ""
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()

    def pinned(self) -> dict[str, str]:
        """Return the distributions of the pip part by normalized name, with the version that `==` requires, or ""."""
        matches = [_REQUIREMENT.match(line) for line in self.pip if "://" not in line]
        return {normalized(match["name"]): match["version"] or "" for match in matches if match}


def normalized(name: str) -> str:
    """Return the name of a distribution in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_conda(
    source: Path | Mapping[str, Any], position: SourceLine
) -> tuple[CondaRequirements | None, list[Finding]]:
    """Read a conda file, or the mapping that stands in its place in the file at `position`."""
    if not isinstance(source, Path):
        return _requirements(source, position, position.file.parent)
    document = read_yaml(source)
    if document.findings:
        first = document.findings[0]
        missing = Finding(position, f"conda_file {source}: {first.message}")
        return None, [missing if first.position.line == 0 else first]
    return _requirements(plain(document.root), SourceLine(source, 0), source.parent)


def _requirements(
    content: object, position: SourceLine, folder: Path
) -> tuple[CondaRequirements | None, list[Finding]]:
    dependencies = content.get("dependencies") if isinstance(content, Mapping) else None
    if dependencies is None and isinstance(content, Mapping):
        dependencies = []
    if not isinstance(dependencies, list):
        message = "the conda file has no list `dependencies`"
        return None, [Finding(position, message)]
    texts = [item for item in dependencies if isinstance(item, str)]
    python = next((match[1] for text in texts if (match := _VERSION.match(text.rpartition("::")[2]))), "")
    conda = tuple(text for text in texts if not re.match(r"(.*::)?(python|pip)\s*($|[=<>!\[ ])", text))
    parts = [
        item["pip"] for item in dependencies if isinstance(item, dict) and isinstance(item.get("pip"), list)
    ]
    pip = tuple(str(line) for part in parts for line in part if isinstance(line, (str, int, float)))
    return CondaRequirements(position, folder, python, conda, pip), []
