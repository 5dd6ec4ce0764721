"""The checks of a resolved plan: everything that would stop a step and is known before it runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from amllog.local.checks.code_checks import code_findings
from amllog.local.checks.data_checks import data_findings
from amllog.local.checks.finding_places import key_line
from amllog.local.checks.interpreter_checks import InterpreterCheck
from amllog.local.checks.output_checks import output_findings
from amllog.local.checks.program_checks import ProgramCheck
from amllog.local.plan.asset_references import name_of
from amllog.local.plan.map_file import map_line
from amllog.local.plan.planned_steps import Finding, PlannedPipeline, PlannedStep, Severity, StepKind
from amllog.local.step_kinds import parallel_step, search_space


def check_plan(plan: PlannedPipeline, *, ignored: Collection[str] = ()) -> list[Finding]:
    """Return the findings about a resolved plan. Steps in `ignored` do not run, so nothing is reported about them."""
    steps = [
        step for step in plan.steps if step.name not in ignored and step.kind is not StepKind.UNSUPPORTED
    ]
    findings = [
        Finding(step.position, _skipped(step), Severity.WARNING)
        for step in plan.steps
        if step.kind is StepKind.UNSUPPORTED and step.name not in ignored
    ]
    findings += [*data_findings(steps), *code_findings(steps), *_task_findings(steps)]
    interpreters = InterpreterCheck()
    for step in steps:
        programs = ProgramCheck(step)
        findings += [*programs.findings, *output_findings(programs.scripts)]
        for use in programs.scripts:
            interpreters.add_script(use)
        interpreters.add_environment(step)
    interpreters.answer()
    return list(dict.fromkeys([*findings, *interpreters.findings]))


def _task_findings(steps: Iterable[PlannedStep]) -> Iterator[Finding]:
    """Yield an error for each problem of a sweep or a parallel step, at the key that the message begins with."""
    for step in steps:
        messages = search_space.problems(step.sweep) if step.sweep else []
        for message in messages + parallel_step.problems(step):
            yield Finding(key_line(step, re.split(r"\W", message)[0]), message)


def _skipped(step: PlannedStep) -> str:
    """Return why a step does not run here, and what the user can do."""
    component = re.search(r"component (azureml:\S+) ", step.skip_reason)
    mapped = (
        f"`{map_line(name_of(component[1]), 'PATH')}` below `components:` in amllog.yml maps it, and "
        if component
        else ""
    )
    stub = f"--stub {step.name}=FOLDER provides its outputs"
    return f"the step {step.name} is skipped: {step.skip_reason}. {mapped}{stub}"
