"""The checks of a resolved plan: everything that would stop a step and is known before it runs."""

from __future__ import annotations

from collections.abc import Collection

from amllog.local.checks.code_checks import code_findings
from amllog.local.checks.data_checks import data_findings
from amllog.local.checks.interpreter_checks import InterpreterCheck
from amllog.local.checks.output_checks import output_findings
from amllog.local.checks.program_checks import ProgramCheck
from amllog.local.plan.planned_steps import Finding, PlannedPipeline, Severity, StepKind


def check_plan(plan: PlannedPipeline, *, ignored: Collection[str] = ()) -> list[Finding]:
    """Return the findings about a resolved plan. Steps in `ignored` do not run, so nothing is reported about them."""
    steps = [
        step for step in plan.steps if step.name not in ignored and step.kind is not StepKind.UNSUPPORTED
    ]
    findings = [
        Finding(
            step.position,
            f"the step {step.name} is skipped: {step.skip_reason}. --stub {step.name}=FOLDER provides its outputs",
            Severity.WARNING,
        )
        for step in plan.steps
        if step.kind is StepKind.UNSUPPORTED and step.name not in ignored
    ]
    findings += [*data_findings(steps), *code_findings(steps)]
    interpreters = InterpreterCheck()
    for step in steps:
        programs = ProgramCheck(step)
        findings += [*programs.findings, *output_findings(programs.scripts)]
        for use in programs.scripts:
            interpreters.add_script(use)
        interpreters.add_environment(step)
    interpreters.answer()
    return list(dict.fromkeys([*findings, *interpreters.findings]))
