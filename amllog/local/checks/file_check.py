"""Read, resolve and check a file: everything that is known before a pipeline runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from amllog.local.checks.environment_checks import missing_environments
from amllog.local.checks.plan_checks import check_plan
from amllog.local.definition.file_reading import read_file
from amllog.local.execution.schedule import descendants_of, names_of
from amllog.local.plan.asset_maps import AssetMaps
from amllog.local.plan.environments import EnvironmentResolver
from amllog.local.plan.map_file import load_maps
from amllog.local.plan.planned_steps import Finding, PlannedPipeline, Severity, StepKind
from amllog.local.plan.resolution import resolve
from amllog.local.plan.virtual_environments import VirtualEnvironments


@dataclass(frozen=True)
class CheckOptions:
    """The options that decide how a plan is resolved and what is checked.

    `data` and `environments` are the values of `--data` and `--env`. Paths are relative to `directory`, that of the
    command. The steps in `skip` and `stubs` do not run, nor do those that need a skipped one, nor those that
    `start_from` and `only` leave out. Without `virtual_environments`, none is built, and a note names each one.
    """

    data: Mapping[str, str | PathLike[str]] = field(default_factory=lambda: MappingProxyType({}))
    environments: Mapping[str, str | PathLike[str]] = field(default_factory=lambda: MappingProxyType({}))
    directory: Path = field(default_factory=Path.cwd)
    skip: Collection[str] = ()
    stubs: Collection[str] = ()
    start_from: str = ""
    only: Collection[str] = ()
    virtual_environments: VirtualEnvironments | None = None


def check_file(
    path: Path, inputs: Mapping[str, str], options: CheckOptions
) -> tuple[PlannedPipeline | None, list[Finding]]:
    """Return the resolved plan of a file and all findings. The plan is None if there is an error.

    Raises UsageError if an option names no step.
    """
    path = path.absolute()
    maps, findings = load_maps(path.parent, options.data, options.environments, options.directory)
    result = read_file(path, inputs, maps.components)
    findings += result.findings
    if result.pipeline is None:
        return None, ordered(findings)
    plan, more = _prepare(result.pipeline, maps, options)
    findings += more
    if has_errors(findings):
        return None, ordered(findings)
    return plan, ordered([*findings, *missing_environments(plan)])


def check_source(
    plan: PlannedPipeline, options: CheckOptions
) -> tuple[PlannedPipeline | None, list[Finding]]:
    """Return the resolved plan of step objects or functions and all findings, as `check_file` does.

    The map file is looked for upwards from the source of the plan, otherwise from the directory of the options.
    """
    start = plan.source.parent if plan.source else options.directory
    maps, findings = load_maps(start, options.data, options.environments, options.directory)
    resolved, more = _prepare(plan, maps, options)
    findings += more
    return None if has_errors(findings) else resolved, ordered(findings)


def _prepare(
    plan: PlannedPipeline, maps: AssetMaps, options: CheckOptions
) -> tuple[PlannedPipeline, list[Finding]]:
    for option, names in (
        ("--skip", options.skip),
        ("--stub", options.stubs),
        ("--from", [options.start_from] if options.start_from else []),
        ("--only", options.only),
    ):
        names_of(plan, option, names)
    ignored = _steps_that_do_not_run(plan, options) | _unselected(plan, options)
    environments = EnvironmentResolver(maps, options.virtual_environments)
    resolved, findings = resolve(plan, maps, environments, ignored=ignored)
    return resolved, [*findings, *check_plan(resolved, ignored=ignored)]


def _steps_that_do_not_run(plan: PlannedPipeline, options: CheckOptions) -> set[str]:
    """Return the stubbed steps, the skipped steps, and those that need a skipped one.

    Steps that cannot run here are not among them, because a warning names them, but those that need them are.
    """
    stubbed = {step.name for step in plan.steps if step.is_named(options.stubs)}
    ended: set[str] = set()
    for step in plan.steps:  # in the order in which they can run
        is_skipped = step.kind is StepKind.UNSUPPORTED or step.is_named(options.skip)
        if step.name not in stubbed and (is_skipped or ended & {*step.requires}):
            ended.add(step.name)
    return stubbed | {
        step.name
        for step in plan.steps
        if step.name in ended and (step.kind is not StepKind.UNSUPPORTED or step.is_named(options.skip))
    }


def _unselected(plan: PlannedPipeline, options: CheckOptions) -> set[str]:
    """Return the steps that `start_from` and `only` leave out. Their data and their programs may be missing."""
    every = {step.name for step in plan.steps}
    selected = {step.name for step in plan.steps if step.is_named(options.only)} or every
    if options.start_from:
        first = [step.name for step in plan.steps if step.is_named([options.start_from])]
        selected = selected & descendants_of(plan, first)
    return every - selected


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


def relative(findings: Collection[Finding], directory: Path) -> list[Finding]:
    """Return the findings with paths relative to a directory, for a user who named the file by a relative path."""
    return [
        finding._replace(
            position=finding.position._replace(file=Path(os.path.relpath(finding.position.file, directory))),
            message=finding.message.replace(f"{directory}{os.sep}", ""),
        )
        for finding in findings
    ]
