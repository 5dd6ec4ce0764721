"""Read, resolve and check a file: everything that is known before a pipeline runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from amllog.local.checks.plan_checks import check_plan
from amllog.local.definition.file_reading import read_file
from amllog.local.plan.asset_maps import AssetMaps
from amllog.local.plan.environments import EnvironmentResolver
from amllog.local.plan.map_file import load_maps
from amllog.local.plan.planned_steps import Finding, PlannedPipeline, Severity
from amllog.local.plan.resolution import resolve
from amllog.local.plan.virtual_environments import VirtualEnvironments


@dataclass(frozen=True)
class CheckOptions:
    """The options that decide how a plan is resolved.

    `data` and `environments` are the values of `--data` and `--env`. `ignored` are the steps that do not run.
    `directory` is that of the command: paths of options are relative to it. Without `virtual_environments`, none is
    built and only a note names them.
    """

    data: Mapping[str, str | PathLike[str]] = field(default_factory=lambda: MappingProxyType({}))
    environments: Mapping[str, str | PathLike[str]] = field(default_factory=lambda: MappingProxyType({}))
    ignored: Collection[str] = ()
    directory: Path = field(default_factory=Path.cwd)
    virtual_environments: VirtualEnvironments | None = None


def check_file(
    path: Path, inputs: Mapping[str, str], options: CheckOptions
) -> tuple[PlannedPipeline | None, list[Finding]]:
    """Return the resolved plan of a file and all findings. The plan is None if there is an error."""
    maps, findings = load_maps(path.absolute().parent, options.data, options.environments, options.directory)
    result = read_file(path, inputs, maps.components)
    findings += result.findings
    if result.pipeline is None:
        return None, ordered(findings)
    plan, more = prepare_plan(result.pipeline, maps, options)
    findings += more
    return None if has_errors(findings) else plan, ordered(findings)


def prepare_plan(
    plan: PlannedPipeline, maps: AssetMaps, options: CheckOptions
) -> tuple[PlannedPipeline, list[Finding]]:
    """Resolve and check a plan from any source."""
    environments = EnvironmentResolver(maps, options.virtual_environments)
    resolved, findings = resolve(plan, maps, environments, ignored=options.ignored)
    return resolved, [*findings, *check_plan(resolved, ignored=options.ignored)]


def has_errors(findings: Collection[Finding]) -> bool:
    """Return whether a finding prevents the start."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def ordered(findings: Collection[Finding]) -> list[Finding]:
    """Return the findings without duplicates, in the order of the files and their lines."""
    files = list(dict.fromkeys(finding.position.file for finding in findings))
    return sorted(
        dict.fromkeys(findings),
        key=lambda finding: (files.index(finding.position.file), finding.position.line),
    )
