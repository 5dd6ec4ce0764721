"""The interpreter of each step, from the maps. Each environment is looked up once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amllog.errors import UsageError
from amllog.local.plan.asset_maps import AssetMaps, EnvironmentEntry
from amllog.local.plan.conda_files import CondaRequirements, read_conda
from amllog.local.plan.interpreters import current_interpreter, find_interpreter, query_interpreter
from amllog.local.plan.planned_steps import Finding, PlannedStep, Severity, SourceLine, StepKind
from amllog.local.plan.virtual_environments import VirtualEnvironments


class EnvironmentResolver:
    """A search for the interpreters of steps, which builds those that a map requests.

    `findings` are errors and notes, each once. Without `environments`, no virtual environment is built.
    """

    def __init__(self, maps: AssetMaps, environments: VirtualEnvironments | None = None) -> None:
        self._maps = maps
        self._environments = environments
        self._known: dict[object, Path | None] = {}
        self.findings: list[Finding] = []

    def interpreter(self, step: PlannedStep) -> Path | None:
        """Return the interpreter of a step. It is None after an error, and while its environment is not built."""
        if step.kind in {StepKind.FUNCTION, StepKind.UNSUPPORTED}:
            return current_interpreter()  # a function needs the packages of this process
        entry = self._maps.environment(step.environment)
        if entry is None:
            return current_interpreter()
        key = (entry, str(_conda_file(entry, step)) if entry.is_built else "")
        if key not in self._known:
            try:
                self._known[key] = self._find(entry, step)
            except UsageError as error:
                self._known[key] = None
                self._add(entry, step, f"environment {entry.key}: {error}")
        return self._known[key]

    def _find(self, entry: EnvironmentEntry, step: PlannedStep) -> Path | None:
        python = find_interpreter(entry.python, entry.base) if entry.python else None
        if not entry.is_built:
            return python or current_interpreter()
        source = _conda_file(entry, step)
        if source is None:
            raise UsageError(
                "it has no conda_file, from which a virtual environment could be built: "
                "name the file ({conda_file: PATH}) or an interpreter"
            )
        line = entry.position if entry.conda_file or not step.environment else step.environment.position
        conda, findings = read_conda(source, line or step.position)
        self.findings += findings
        return self._built(entry, step, conda, python) if conda else None

    def _built(
        self, entry: EnvironmentEntry, step: PlannedStep, conda: CondaRequirements, python: Path | None
    ) -> Path | None:
        base = python or _python_for(conda.python) or current_interpreter()
        version = query_interpreter(base).version
        notes = []
        if conda.python and not f"{version}.".startswith(f"{conda.python}."):
            notes.append(f"Python {version} is used instead of {conda.python}")
        if conda.conda:
            notes.append(f"conda packages are not installed: {', '.join(conda.conda)}")
        if notes:
            self.findings.append(Finding(conda.position, ". ".join(notes), Severity.NOTE))
        built = self._environments.python(conda, base) if self._environments else None
        if built is None:
            message = f"environment {entry.key}: its virtual environment is built before the run"
            self._add(entry, step, message, Severity.NOTE)
        return built

    def _add(
        self, entry: EnvironmentEntry, step: PlannedStep, message: str, severity: Severity = Severity.ERROR
    ) -> None:
        """Report at the line of the map file. An option has no line, so its finding is at the step's environment."""
        position: SourceLine | None = entry.position
        if entry.is_option:
            position = step.environment.position if step.environment else None
            message = f"{entry.position.file}: {message}"
        self.findings.append(Finding(position or step.position, message, severity))


def _conda_file(entry: EnvironmentEntry, step: PlannedStep) -> Path | Mapping[str, Any] | None:
    """Return the conda file of the map's entry, otherwise that of the step's environment."""
    return entry.conda_file or (step.environment.conda_file if step.environment else None)


def _python_for(version: str) -> Path | None:
    """Return the interpreter of this version on PATH, if it starts and is this version."""
    path = shutil.which(f"python{version}") if version else None
    if path is None:
        return None
    try:
        reported = query_interpreter(Path(path)).version
    except UsageError:  # a launcher such as pyenv's, for a version that is not installed
        return None
    return Path(path) if reported.startswith(f"{version}.") else None
