"""Resolve a plan for this machine: named data becomes local paths, environments become interpreters.

All missing entries are reported at once, each with the line to add to the map.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from amllog.config.user_path import exists, is_file
from amllog.errors import UsageError
from amllog.local.plan.asset_maps import AssetMaps, DataEntry
from amllog.local.plan.asset_references import is_address, name_of
from amllog.local.plan.environments import EnvironmentResolver
from amllog.local.plan.map_file import map_line
from amllog.local.plan.planned_steps import (
    Finding,
    InputValue,
    LocalData,
    NamedData,
    PlannedPipeline,
    Severity,
    SourceLine,
    StepKind,
)


def resolve(
    plan: PlannedPipeline,
    maps: AssetMaps,
    environments: EnvironmentResolver | None = None,
    *,
    ignored: Collection[str] = (),
) -> tuple[PlannedPipeline, list[Finding]]:
    """Return the plan with local paths and an interpreter for each step, and all findings.

    Data without a path stays `NamedData`, with a finding. Steps in `ignored`, and those that cannot run here, have no
    findings. Without `environments`, no virtual environment is built, and only notes tell which would be.
    """
    environments = environments or EnvironmentResolver(maps)
    data = _DataResolver(maps)
    running = [
        step for step in plan.steps if step.name not in ignored and step.kind is not StepKind.UNSUPPORTED
    ]
    resolved = {
        step.name: replace(
            step,
            inputs={name: data.resolve(value) for name, value in step.inputs.items()},
            interpreter=environments.interpreter(step),
        )
        for step in running
    }
    # An option with a misspelled name also leaves data without a path. That error names what to pass.
    unused = () if data.has_missing else _unused_options(plan, maps)
    findings = [*data.findings, *environments.findings, *unused]
    # Inputs of the pipeline that no step reads are not missing.
    inputs = {name: _DataResolver(maps).resolve(value) for name, value in plan.inputs.items()}
    steps = tuple(resolved.get(step.name, step) for step in plan.steps)
    return replace(plan, steps=steps, inputs=inputs), findings


class _DataResolver:
    """A search for local paths, which reports each missing entry and each wrong path once."""

    def __init__(self, maps: AssetMaps) -> None:
        self._maps = maps
        self._reported: set[object] = set()
        self.findings: list[Finding] = []
        self.has_missing = False  # data without an entry

    def resolve(self, value: InputValue) -> InputValue:
        """Return local data for named data. Other values, and named data without a path, are returned as they are."""
        if not isinstance(value, NamedData):
            return value
        fit = self._maps.data_path(value.reference)
        if fit is None:
            self.has_missing = True
            self._report(name_of(value.reference), value.position, _missing(value.reference, self._maps))
            return value
        entry, path = fit
        fault = _path_fault(entry, path, value)
        if fault:
            position = value.position if entry.is_option else entry.position
            self._report((entry, path), position, fault)
            return value
        return LocalData(path, _type(value, path))

    def _report(self, key: object, position: SourceLine, message: str) -> None:
        if key not in self._reported:
            self._reported.add(key)
            self.findings.append(Finding(position, message))


def _type(value: NamedData, path: Path) -> str:
    """Return the type of the data. A registered table is a folder, also for an input whose type is uri_file."""
    is_table = value.type == "uri_file" and not is_address(value.reference) and is_file(path / "MLTable")
    return "mltable" if is_table else value.type


def _missing(reference: str, maps: AssetMaps) -> str:
    key = name_of(reference)
    option = shlex.join(["--data", f"{key}=PATH"])
    place = maps.file if exists(maps.file) else f"a new file {maps.file}"
    shown = re.split(r"[?#]", reference, maxsplit=1)[0]  # the query of an address may be a signature
    return (
        f"no local path for {shown}: add the line `{map_line(key, 'PATH')}` below `data:` in {place}, "
        f"or pass {option}"
    )


def _path_fault(entry: DataEntry, path: Path, value: NamedData) -> str:
    try:
        if exists(path):
            return ""
        reason = f"{path} does not exist"
    except UsageError as error:
        reason = str(error)
    if entry.is_option:
        return f"--data {entry.key}={entry.path}: {reason}"
    needed = f" (needed for {value.reference})" if path != entry.path else ""
    return f"data {entry.key}: {reason}{needed}"


def _unused_options(plan: PlannedPipeline, maps: AssetMaps) -> Iterator[Finding]:
    """Yield a warning for each option that fits nothing in the plan. Its name is probably misspelled."""
    values = [value for step in plan.steps for value in step.inputs.values()] + [*plan.inputs.values()]
    references = {value.reference for value in values if isinstance(value, NamedData)}
    used = {fit[0] for reference in references if (fit := maps.data_path(reference))}
    for entry in maps.data:
        if entry.is_option and entry not in used:
            known = ", ".join(sorted(references)) or "none"
            message = f"--data {entry.key}: no step reads this data (data that steps read: {known})"
            yield Finding(plan.position, message, Severity.WARNING)
    references_of_steps = [step.environment for step in plan.steps]
    taken = {maps.environment(reference) for reference in references_of_steps}
    names = sorted({reference.name for reference in references_of_steps if reference and reference.name})
    for environment in maps.environments:
        if environment.is_option and environment not in taken:
            known = ", ".join(names) or "none"
            message = f"--env {environment.key}: no step has this environment (environments: {known})"
            yield Finding(plan.position, message, Severity.WARNING)
