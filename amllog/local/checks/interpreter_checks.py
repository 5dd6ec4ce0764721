"""The checks of scripts by the interpreters that will run them: their syntax, and the packages that they import.

Each interpreter is started once. It looks for the modules without importing them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from amllog.errors import UsageError
from amllog.local.checks.program_checks import ScriptUse
from amllog.local.checks.script_imports import ImportedCode, ImportedModule, imported_code
from amllog.local.plan.asset_references import name_of
from amllog.local.plan.conda_files import CondaRequirements, read_conda
from amllog.local.plan.interpreters import InterpreterReport, query_interpreter
from amllog.local.plan.planned_steps import Finding, PlannedStep, Severity, SourceLine
from amllog.local.plan.virtual_environments import COMPLETE

# The distributions of frequent modules with another name.
_DISTRIBUTIONS = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}  # fmt: skip


class _Need(NamedTuple):
    """A module that a step imports."""

    module: ImportedModule
    step: PlannedStep
    severity: Severity


@dataclass
class _Query:
    """Everything about one interpreter."""

    needs: list[_Need] = field(default_factory=list)
    files: dict[Path, PlannedStep] = field(default_factory=dict)
    conda: dict[SourceLine, CondaRequirements] = field(default_factory=dict)
    position: SourceLine | None = None


class InterpreterCheck:
    """The questions to the interpreters of all steps. `findings` are complete after `answer`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._queries: dict[Path, _Query] = {}
        self._codes: dict[tuple[Path, tuple[Path, ...]], ImportedCode] = {}  # steps may run the same script

    def _query(self, step: PlannedStep) -> _Query | None:
        if step.interpreter is None:
            return None
        query = self._queries.setdefault(step.interpreter, _Query())
        environment = step.environment
        query.position = query.position or (environment and environment.position) or step.position
        return query

    def add_script(self, use: ScriptUse) -> None:
        """Add a script or a module of a step."""
        query = self._query(use.step)
        if query is None:
            return
        if use.script is None:
            module = ImportedModule(use.module.partition(".")[0], use.line.file, use.line.line)
            query.needs.append(_Need(module, use.step, _severity(use.is_certain)))
            return
        key = (use.script, use.folders)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = imported_code(*key)
        for file in code.files:
            query.files.setdefault(file, use.step)
        if code.are_packages_known:
            severity = _severity(use.is_certain and code.is_search_path_known)
            query.needs += [_Need(module, use.step, severity) for module in code.modules]

    def add_environment(self, step: PlannedStep) -> None:
        """Add the conda file of a step's environment, to compare it with the interpreter that runs instead."""
        environment = step.environment
        if environment is None or environment.conda_file is None:
            return
        conda, findings = read_conda(environment.conda_file, environment.position or step.position)
        self.findings += findings
        query = self._query(step)
        if conda is not None and query is not None:
            query.conda.setdefault(conda.position, conda)

    def answer(self) -> None:
        """Start each interpreter once, and add the findings of its report."""
        for python, query in self._queries.items():
            distributions = [name for conda in query.conda.values() for name in conda.pinned()]
            try:
                report = query_interpreter(
                    python, (need.module.name for need in query.needs), distributions, query.files
                )
            except UsageError as error:
                if query.position is not None:
                    self.findings.append(Finding(query.position, f"interpreter: {error}"))
                continue
            self._add_faults(report)
            missing = self._add_missing(python, query, report)
            if not (python.parent.parent / COMPLETE).exists():
                self._add_differences(query, report, is_complete=not missing)

    def _add_faults(self, report: InterpreterReport) -> None:
        for script, fault in report.faults.items():
            message = f"syntax error for Python {report.version}: {fault.message}"
            self.findings.append(Finding(SourceLine(script, fault.line), message))

    def _add_missing(self, python: Path, query: _Query, report: InterpreterReport) -> bool:
        """Add a finding for each missing module at its first import. Return whether there is one."""
        reported: dict[str, Finding] = {}
        # An error precedes a warning about the same module.
        for need in sorted(query.needs, key=lambda need: need.severity is not Severity.ERROR):
            name = need.module.name
            if name in report.missing and _distribution(name) not in reported:
                message = (
                    f"the module {name} is not installed in {python} (Python {report.version}): "
                    f"{_remedy(python, need)}"
                )
                position = SourceLine(need.module.file, need.module.line)
                reported[_distribution(name)] = Finding(position, message, need.severity)
        self.findings += reported.values()
        return bool(reported)

    def _add_differences(self, query: _Query, report: InterpreterReport, *, is_complete: bool) -> None:
        for conda in query.conda.values():
            differences = []
            if conda.python and not f"{report.version}.".startswith(f"{conda.python}."):
                differences.append(f"Python {conda.python} ({report.version} here)")
            for name, version in conda.pinned().items():
                present = report.versions.get(name)
                if present is None and is_complete:
                    differences.append(f"{name} (not installed)")
                elif present is not None and version and present != version:
                    differences.append(f"{name}=={version} ({present} here)")
            if differences:
                message = f"the interpreter differs from the conda file: {', '.join(differences)}"
                self.findings.append(Finding(conda.position, message, Severity.NOTE))


def _severity(is_sure: bool) -> Severity:
    return Severity.ERROR if is_sure else Severity.WARNING


def _distribution(module: str) -> str:
    """Return the probable name of the distribution of a module."""
    parts = module.split(".")
    if parts[0] in {"azure", "azureml", "google"}:
        # The distributions of namespace packages have the names of two or three parts.
        return "-".join(parts[: 3 if parts[0] == "azure" else 2])
    return _DISTRIBUTIONS.get(parts[0], parts[0])


def _remedy(python: Path, need: _Need) -> str:
    reference = need.step.environment
    key = name_of(reference.name) if reference and reference.name else "*"
    install = shlex.join([str(python), "-m", "pip", "install", _distribution(need.module.name)])
    venv = ""
    if reference and reference.conda_file is not None:
        venv = f", or build the environment of its conda file: {shlex.join(['--env', f'{key}=venv'])}"
    return f"install it (`{install}`), or select another one: {shlex.join(['--env', f'{key}=PYTHON'])}{venv}"
